"""Everything of the first release."""

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FLAG = sa.Boolean()
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
REAL: sa.types.TypeEngine[float] = sa.Double()
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TIME = sa.DateTime(timezone=True)

Columns = list[sa.Column[Any]]


def columns(kind: sa.types.TypeEngine[Any], *names: str, null: bool = False) -> Columns:
    return [sa.Column(name, kind, nullable=null) for name in names]


def names(length: int, *names: str, null: bool = False) -> Columns:
    kind = sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")
    return columns(kind, *names, null=null)


def created_updated() -> Columns:
    return columns(TIME, "created_at", "updated_at")


def ref(table: str, column: str, target: str, action: str, *, null: bool = False) -> Columns:
    key = sa.ForeignKey(f"{target}.id", name=f"fk_{table}_{column}", ondelete=action)
    return [sa.Column(column, BIG, key, nullable=null)]


def one_of(column: str, *values: str) -> tuple[str, str]:
    return column, f"{column} IN ({', '.join(repr(value) for value in values)})"


def create(
    table: str,
    *groups: Columns,
    unique: Iterable[Sequence[str]] = (),
    checks: Iterable[tuple[str, str]] = (),
    keys: Sequence[str] = ("id",),
    **options: Any,
) -> None:
    """A table from groups of columns; `checks` are pairs of a name and a condition."""
    made = columns(BIG, "id") if keys == ("id",) else []
    op.create_table(
        table,
        *made,
        *(column for group in groups for column in group),
        sa.PrimaryKeyConstraint(*keys, name=f"pk_{table}"),
        *(sa.UniqueConstraint(*over, name=f"uq_{table}_{'_'.join(over)}") for over in unique),
        *(sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}")) for name, text in checks),
        **options,
    )


def index(
    table: str, *over: str, name: str = "", unique: bool = False, where: str | None = None
) -> None:
    condition = None if where is None else sa.text(where)
    name = name or f"ix_{table}_{'_'.join(over)}"
    op.create_index(
        name, table, list(over), unique=unique, sqlite_where=condition, postgresql_where=condition
    )


FILE_KINDS = ("model", "config", "tokenizer", "card", "metadata", "code", "other")


def upgrade() -> None:
    repositories()
    artifacts()
    files()
    models()
    components()
    work()


def repositories() -> None:
    create(
        "model_vendor",
        columns(TEXT, "source", "vendor_key", "name"),
        created_updated(),
        unique=[("source", "vendor_key")],
    )
    create(
        "model_repo",
        columns(TEXT, "source", "vendor_key", "name_key"),
        ref("model_repo", "vendor_id", "model_vendor", "SET NULL", null=True),
        columns(TEXT, "model_repo_name", "model_vendor", "model_name", "source_uri", "default_branch"),
        names(64, "git_head", null=True),
        columns(TEXT, "framework", "preferred_format", "preferred_precision", null=True),
        columns(JSON, "task_hints", "quantization_targets", "metadata"),
        names(32, "sync_status"),
        columns(JSON, "sync_error", null=True),
        created_updated(),
        columns(TIME, "deleted_at", "last_synced_at", null=True),
        checks=[one_of("sync_status", "init", "sync_ready", "syncing", "error", "completed")],
    )
    index("model_repo", "vendor_id")
    keys, living = ("vendor_key", "name_key"), "deleted_at IS NULL"
    index("model_repo", "source", *keys, name="uq_model_repo_living", unique=True, where=living)
    index("model_repo", *keys, "id", name="ix_model_repo_page", where=living)
    index("model_repo", "name_key", "vendor_key", name="ix_model_repo_name")
    index("model_repo", "source_uri", "source", name="ix_model_repo_source_uri")
    create(
        "model_repo_revision",
        ref("model_repo_revision", "model_repo_id", "model_repo", "CASCADE"),
        names(64, "commit_hash"),
        columns(TEXT, "revision", "default_branch", "source_uri"),
        columns(TEXT, "license", "pipeline_tag", "library_name", null=True),
        columns(JSON, "tags", "metadata", "warnings"),
        columns(FLAG, "gated", "private"),
        columns(TIME, "last_modified", "introspected_at", null=True),
        created_updated(),
        unique=[("model_repo_id", "commit_hash")],
    )
    index("model_repo_revision", "commit_hash")
    create(
        "repo_ref",
        ref("repo_ref", "model_repo_id", "model_repo", "CASCADE"),
        ref("repo_ref", "revision_id", "model_repo_revision", "CASCADE"),
        columns(TEXT, "name"),
        columns(TIME, "first_seen_at", "last_seen_at"),
        sqlite_autoincrement=True,
    )
    index("repo_ref", "model_repo_id", "name", "id", name="ix_repo_ref_newest")
    index("repo_ref", "revision_id")


def artifacts() -> None:
    create(
        "model_artifact",
        ref("model_artifact", "model_repo_id", "model_repo", "SET NULL", null=True),
        columns(TEXT, "filename", "path", "format", "precision", "part_id", null=True),
        names(64, "hash_sha256"),
        columns(BIG, "size_bytes"),
        created_updated(),
        columns(TIME, "deleted_at", null=True),
        unique=[("hash_sha256",)],
    )
    index("model_artifact", "model_repo_id")
    create("store", columns(TEXT, "uri", "host"), created_updated(), unique=[("uri", "host")])
    create(
        "artifact_location",
        ref("artifact_location", "artifact_id", "model_artifact", "CASCADE"),
        ref("artifact_location", "store_id", "store", "CASCADE"),
        names(32, "state"),
        columns(TEXT, "path"),
        columns(BIG, "size_bytes"),
        columns(TIME, "last_accessed_at", null=True),
        created_updated(),
        unique=[("store_id", "artifact_id")],
        checks=[
            one_of("state", "partial", "unverified", "present", "deleting", "quarantined", "missing")
        ],
    )
    index("artifact_location", "artifact_id")
    index(
        "artifact_location", "store_id", "state", "last_accessed_at", name="ix_artifact_location_state"
    )
    create(
        "artifact_proof",
        ref("artifact_proof", "location_id", "artifact_location", "CASCADE"),
        columns(TEXT, "host"),
        columns(sa.Text(), "device", "inode"),
        columns(BIG, "size", "mtime_ns", "ctime_ns", "recorded_ns"),
        columns(TIME, "verified_at", null=True),
        keys=("location_id", "host"),
    )
    create(
        "lease",
        ref("lease", "store_id", "store", "CASCADE"),
        columns(TEXT, "owner", "host", "purpose"),
        columns(TEXT, "boot_id", null=True),
        columns(TIME, "expires_at"),
        created_updated(),
    )
    index("lease", "store_id")
    index("lease", "expires_at")
    create(
        "lease_artifact",
        ref("lease_artifact", "lease_id", "lease", "CASCADE"),
        ref("lease_artifact", "artifact_id", "model_artifact", "RESTRICT"),
        keys=("lease_id", "artifact_id"),
    )
    index("lease_artifact", "artifact_id")


def files() -> None:
    create(
        "repo_file",
        ref("repo_file", "model_repo_id", "model_repo", "CASCADE"),
        ref("repo_file", "revision_id", "model_repo_revision", "CASCADE"),
        columns(BIG, "position", "size_bytes"),
        columns(TEXT, "file_path"),
        names(64, "hash_sha256", "lfs_sha256", null=True),
        columns(TEXT, "git_oid", "xet_hash", null=True),
        names(32, "type"),
        ref("repo_file", "storage_artifact_id", "model_artifact", "SET NULL", null=True),
        created_updated(),
        unique=[("revision_id", "file_path")],
        checks=[one_of("type", *FILE_KINDS)],
    )
    for column in ("model_repo_id", "hash_sha256", "lfs_sha256", "storage_artifact_id"):
        index("repo_file", column)
    create(
        "snapshot",
        ref("snapshot", "store_id", "store", "CASCADE"),
        ref("snapshot", "revision_id", "model_repo_revision", "CASCADE"),
        columns(TEXT, "path"),
        created_updated(),
        unique=[("store_id", "revision_id")],
    )
    index("snapshot", "revision_id")
    create(
        "snapshot_file",
        ref("snapshot_file", "snapshot_id", "snapshot", "CASCADE"),
        columns(TEXT, "path", "link_mode"),
        ref("snapshot_file", "artifact_id", "model_artifact", "RESTRICT"),
        columns(BIG, "size_bytes"),
        keys=("snapshot_id", "path"),
    )
    index("snapshot_file", "artifact_id")


def models() -> None:
    create(
        "logical_model",
        ref("logical_model", "revision_id", "model_repo_revision", "CASCADE"),
        columns(BIG, "position"),
        columns(TEXT, "model_name", "category", "task_type"),
        columns(TEXT, "sub_category", "subtask", "architecture", null=True),
        columns(BIG, "context_length", "parameters", null=True),
        columns(TEXT, "preferred_format", "preferred_precision", "runtime_type", null=True),
        columns(JSON, "available_precisions", "metadata"),
        columns(REAL, "min_vram_gb", null=True),
        names(32, "status"),
        created_updated(),
        unique=[("revision_id", "position")],
        checks=[one_of("status", "syncing", "error", "ready", "active")],
        sqlite_autoincrement=True,
    )
    create(
        "model_variant",
        ref("model_variant", "logical_model_id", "logical_model", "CASCADE"),
        columns(BIG, "position", "size_bytes"),
        columns(TEXT, "variant_name", "format"),
        columns(TEXT, "precision", null=True),
        columns(BIG, "parameters", null=True),
        names(32, "status"),
        created_updated(),
        unique=[("logical_model_id", "position")],
        checks=[one_of("status", "preparing", "ready", "error")],
        sqlite_autoincrement=True,
    )


def components() -> None:
    create(
        "logical_model_component",
        ref("logical_model_component", "model_variant_id", "model_variant", "CASCADE"),
        columns(BIG, "position"),
        columns(TEXT, "component_name", "model_repo_name", "source", "folder"),
        names(64, "commit_hash", null=True),
        columns(TEXT, "format", "precision", null=True),
        columns(BIG, "parameters", null=True),
        columns(TIME, "created_at"),
        unique=[("model_variant_id", "position")],
    )
    create(
        "component_file",
        ref("component_file", "component_id", "logical_model_component", "CASCADE"),
        columns(BIG, "position", "size_bytes"),
        columns(TEXT, "file_path"),
        names(64, "hash_sha256", null=True),
        columns(TEXT, "git_oid", "xet_hash", null=True),
        names(32, "type"),
        ref("component_file", "repo_file_id", "repo_file", "SET NULL", null=True),
        ref("component_file", "artifact_id", "model_artifact", "SET NULL", null=True),
        unique=[("component_id", "position")],
        checks=[one_of("type", *FILE_KINDS)],
    )
    for column in ("repo_file_id", "artifact_id"):
        index("component_file", column)
    create(
        "fact",
        ref("fact", "revision_id", "model_repo_revision", "CASCADE"),
        columns(BIG, "position", "trust"),
        columns(TEXT, "subject", "key", "evidence"),
        columns(JSON, "value", null=True),
        columns(TIME, "created_at"),
        unique=[("revision_id", "position")],
        checks=[("trust", "trust BETWEEN 0 AND 100")],
    )


def work() -> None:
    jobs()
    instances()
    create(
        "inference_log",
        columns(TIME, "timestamp"),
        columns(TEXT, "request_id", "model_repo_name", "variant", "runtime_type", "task_type"),
        columns(TEXT, "user_session_id", "model_filename", "error_type", "error_message", null=True),
        ref("inference_log", "logical_model_id", "logical_model", "SET NULL", null=True),
        ref("inference_log", "runtime_instance_id", "runtime_instance", "SET NULL", null=True),
        columns(REAL, "latency_ms"),
        names(64, "commit_hash", "variant_digest", null=True),
        columns(BIG, "input_size", "output_size", null=True),
        columns(JSON, "timings", null=True),
        names(32, "status"),
        checks=[one_of("status", "ok", "error", "cancelled")],
    )
    for column in ("timestamp", "request_id", "logical_model_id", "runtime_instance_id"):
        index("inference_log", column)
    index("inference_log", "model_repo_name", "timestamp", name="ix_inference_log_model")


def jobs() -> None:
    create(
        "job",
        names(32, "kind", "status"),
        columns(TEXT, "dedup_key", "stage"),
        columns(JSON, "input"),
        columns(JSON, "output", "error", null=True),
        columns(BIG, "done", "priority", "attempt", "max_attempts"),
        columns(BIG, "total", null=True),
        [sa.Column("unit", TEXT, nullable=False, server_default="bytes")],
        columns(TIME, "run_at", "created_at", "updated_at"),
        ref("job", "parent_id", "job", "SET NULL", null=True),
        columns(TEXT, "lease_owner", null=True),
        columns(FLAG, "cancel_requested"),
        columns(TIME, "lease_until", "started_at", "finished_at", null=True),
        checks=[one_of("status", "queued", "running", "succeeded", "failed", "cancelled")],
        sqlite_autoincrement=True,
    )
    index("job", "status", "run_at", name="ix_job_claim")
    index("job", "parent_id")
    unfinished = "status IN ('queued', 'running')"
    index("job", "dedup_key", name="uq_job_dedup_key", unique=True, where=unfinished)


def instances() -> None:
    states = ("staging", "loading", "idle", "busy", "draining", "stopping", "error", "lost")
    create(
        "runtime_instance",
        ref("runtime_instance", "logical_model_id", "logical_model", "SET NULL", null=True),
        ref("runtime_instance", "model_variant_id", "model_variant", "SET NULL", null=True),
        names(64, "variant_digest", "config_hash"),
        columns(TEXT, "runtime_type", "runtime_version", "host", "boot_id", "device"),
        columns(TEXT, "model_filename", "device_uuid", null=True),
        columns(BIG, "pid", "predicted_bytes"),
        columns(BIG, "gpu_index", "measured_bytes", null=True),
        names(32, "status"),
        columns(FLAG, "pinned"),
        columns(REAL, "keep_alive_seconds", null=True),
        columns(JSON, "error", null=True),
        columns(TIME, "lease_until", "last_heartbeat_at"),
        columns(TIME, "pid_started_at", "last_used_at", null=True),
        created_updated(),
        checks=[one_of("status", *states)],
    )
    index("runtime_instance", "logical_model_id")
    index("runtime_instance", "model_variant_id")
    index("runtime_instance", "host", "status", name="ix_runtime_instance_host")
    create(
        "runtime_footprint",
        names(64, "variant_digest", "config_hash"),
        columns(TEXT, "runtime_type", "runtime_version", "device_class"),
        columns(BIG, "memory_bytes", "samples"),
        columns(JSON, "bytes_per_device", null=True),
        columns(REAL, "load_seconds"),
        created_updated(),
    )
    measured = ("variant_digest", "runtime_type", "runtime_version", "device_class", "config_hash")
    index("runtime_footprint", *measured, name="uq_runtime_footprint_measured", unique=True)


def downgrade() -> None:
    for tables in (
        ("inference_log", "runtime_footprint", "runtime_instance", "job"),
        ("fact", "component_file", "logical_model_component", "model_variant", "logical_model"),
        ("snapshot_file", "snapshot", "repo_file"),
        ("lease_artifact", "lease", "artifact_proof", "artifact_location", "store", "model_artifact"),
        ("repo_ref", "model_repo_revision", "model_repo", "model_vendor"),
    ):
        for table in tables:
            op.drop_table(table)
