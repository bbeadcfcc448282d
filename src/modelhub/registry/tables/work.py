"""Jobs, loaded instances, what they took, and what was asked of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from modelhub.facts import JobStatus
from modelhub.registry.tables.base import (
    Commit,
    Created,
    Id,
    JsonDoc,
    Row,
    Sha256,
    State,
    Updated,
    one_of,
    set_null,
)
from modelhub.registry.types import Json

LIVE_STATES = ("staging", "loading", "idle", "busy", "draining", "stopping")
INSTANCE_STATES = (*LIVE_STATES, "error", "lost")
CALL_STATES = ("ok", "error", "cancelled")


class JobRow(Row):
    """Long work. The row and its lease are the truth.

    `done` and `total` count `unit`s. `run_at` and `lease_until` go by `statements.steady`; the other times
    are for people. Workers of `place` may claim it, of any where that is empty.
    """

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_claim", "status", "run_at"),
        one_of("status", JobStatus),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[Id]
    kind: Mapped[State]
    status: Mapped[State]
    dedup_key: Mapped[str]
    input: Mapped[JsonDoc]
    output: Mapped[JsonDoc | None] = mapped_column(default=None)
    error: Mapped[JsonDoc | None] = mapped_column(default=None)
    stage: Mapped[str] = mapped_column(default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    unit: Mapped[str] = mapped_column(default="bytes", server_default="bytes")
    priority: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
    run_at: Mapped[datetime]
    parent_id: Mapped[int | None] = mapped_column(set_null("job.id"), index=True)
    place: Mapped[str] = mapped_column(default="", server_default=text("''"))
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[Updated]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


UNFINISHED = JobRow.status.in_([JobStatus.QUEUED.value, JobStatus.RUNNING.value])
Index(
    "uq_job_dedup_key",
    JobRow.dedup_key,
    unique=True,
    sqlite_where=UNFINISHED,
    postgresql_where=UNFINISHED,
)


class InstanceRow(Row):
    """A model that a process of some host has loaded, or is loading."""

    __tablename__ = "runtime_instance"
    __table_args__ = (
        Index("ix_runtime_instance_host", "host", "status"),
        one_of("status", INSTANCE_STATES),
    )

    id: Mapped[Id]
    logical_model_id: Mapped[int | None] = mapped_column(set_null("logical_model.id"), index=True)
    model_variant_id: Mapped[int | None] = mapped_column(set_null("model_variant.id"), index=True)
    variant_digest: Mapped[Sha256]
    config_hash: Mapped[Sha256]
    model_filename: Mapped[str | None]
    runtime_type: Mapped[str]
    runtime_version: Mapped[str]
    host: Mapped[str]
    boot_id: Mapped[str]
    pid: Mapped[int]
    pid_started_ticks: Mapped[int | None]
    device: Mapped[str]
    device_uuid: Mapped[str | None]
    gpu_index: Mapped[int | None]
    status: Mapped[State]
    predicted_bytes: Mapped[int]
    measured_bytes: Mapped[int | None]
    pinned: Mapped[bool] = mapped_column(default=False)
    keep_alive_seconds: Mapped[float | None]
    error: Mapped[JsonDoc | None] = mapped_column(default=None)
    lease_until: Mapped[datetime]
    last_heartbeat_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class FootprintRow(Row):
    """What loading a variant took when it was measured."""

    __tablename__ = "runtime_footprint"
    __table_args__ = (
        Index(
            "uq_runtime_footprint_measured",
            "variant_digest",
            "runtime_type",
            "runtime_version",
            "device_class",
            "config_hash",
            unique=True,
        ),
    )

    id: Mapped[Id]
    variant_digest: Mapped[Sha256]
    runtime_type: Mapped[str]
    runtime_version: Mapped[str]
    device_class: Mapped[str]
    config_hash: Mapped[Sha256]
    memory_bytes: Mapped[int]
    bytes_per_device: Mapped[dict[str, Any] | None] = mapped_column(Json)
    load_seconds: Mapped[float]
    samples: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class InferenceLogRow(Row):
    """A call. The names stay readable when the model's rows are gone."""

    __tablename__ = "inference_log"
    __table_args__ = (
        Index("ix_inference_log_model", "model_repo_name", "timestamp"),
        one_of("status", CALL_STATES),
    )

    id: Mapped[Id]
    timestamp: Mapped[datetime] = mapped_column(index=True)
    request_id: Mapped[str] = mapped_column(index=True)
    user_session_id: Mapped[str | None]
    logical_model_id: Mapped[int | None] = mapped_column(set_null("logical_model.id"), index=True)
    runtime_instance_id: Mapped[int | None] = mapped_column(set_null("runtime_instance.id"), index=True)
    model_repo_name: Mapped[str]
    commit_hash: Mapped[Commit | None]
    variant: Mapped[str]
    variant_digest: Mapped[Sha256 | None]
    model_filename: Mapped[str | None]
    runtime_type: Mapped[str]
    task_type: Mapped[str]
    latency_ms: Mapped[float]
    input_size: Mapped[int | None]
    output_size: Mapped[int | None]
    timings: Mapped[dict[str, Any] | None] = mapped_column(Json)
    status: Mapped[State]
    error_type: Mapped[str | None]
    error_message: Mapped[str | None]
