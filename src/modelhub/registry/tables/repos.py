"""Repositories, their revisions, what branches and tags meant, their files."""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from modelhub.facts import FileKind, SyncStatus
from modelhub.registry.tables.base import (
    Commit,
    Created,
    Id,
    JsonDoc,
    JsonList,
    Row,
    Sha256,
    State,
    Updated,
    cascade,
    one_of,
    set_null,
)


class VendorRow(Row):
    """Who a repository belongs to, at one source. A repository without a vendor has no row here."""

    __tablename__ = "model_vendor"
    __table_args__ = (UniqueConstraint("source", "vendor_key"),)

    id: Mapped[Id]
    source: Mapped[str]
    vendor_key: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class RepoRow(Row):
    """A repository. The keys are what compares: vendor and name without case."""

    __tablename__ = "model_repo"
    __table_args__ = (one_of("sync_status", SyncStatus),)

    id: Mapped[Id]
    source: Mapped[str]
    vendor_id: Mapped[int | None] = mapped_column(set_null("model_vendor.id"), index=True)
    vendor_key: Mapped[str]
    name_key: Mapped[str]
    model_repo_name: Mapped[str]
    model_vendor: Mapped[str]
    model_name: Mapped[str]
    source_uri: Mapped[str]
    default_branch: Mapped[str]
    git_head: Mapped[Commit | None]
    framework: Mapped[str | None]
    task_hints: Mapped[JsonList]
    preferred_format: Mapped[str | None]
    preferred_precision: Mapped[str | None]
    quantization_targets: Mapped[JsonList]
    pinned: Mapped[bool] = mapped_column(default=False, server_default=false())
    sync_status: Mapped[State] = mapped_column(default=SyncStatus.INIT)
    sync_error: Mapped[JsonDoc | None] = mapped_column(default=None)
    details: Mapped[JsonDoc] = mapped_column("metadata")
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]
    deleted_at: Mapped[datetime | None]
    last_synced_at: Mapped[datetime | None]


_living: dict[str, Any] = {
    "sqlite_where": RepoRow.deleted_at.is_(None),
    "postgresql_where": RepoRow.deleted_at.is_(None),
}
Index(
    "uq_model_repo_living", RepoRow.source, RepoRow.vendor_key, RepoRow.name_key, unique=True, **_living
)
Index("ix_model_repo_page", RepoRow.vendor_key, RepoRow.name_key, RepoRow.id, **_living)
Index("ix_model_repo_name", RepoRow.name_key, RepoRow.vendor_key)
Index("ix_model_repo_source_uri", RepoRow.source_uri, RepoRow.source)


class RevisionRow(Row):
    """A repository at one commit, as its source described it."""

    __tablename__ = "model_repo_revision"
    __table_args__ = (UniqueConstraint("model_repo_id", "commit_hash"),)

    id: Mapped[Id]
    model_repo_id: Mapped[int] = mapped_column(cascade("model_repo.id"))
    commit_hash: Mapped[Commit] = mapped_column(index=True)
    revision: Mapped[str]
    default_branch: Mapped[str]
    source_uri: Mapped[str]
    license: Mapped[str | None]
    pipeline_tag: Mapped[str | None]
    library_name: Mapped[str | None]
    tags: Mapped[JsonList]
    gated: Mapped[bool]
    private: Mapped[bool]
    last_modified: Mapped[datetime | None]
    details: Mapped[JsonDoc] = mapped_column("metadata")
    warnings: Mapped[JsonList]
    introspected_at: Mapped[datetime | None]
    reader: Mapped[str | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class RefRow(Row):
    """That a branch or tag meant a commit, from when to when. The newest row has the highest id."""

    __tablename__ = "repo_ref"
    __table_args__ = (
        Index("ix_repo_ref_newest", "model_repo_id", "name", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[Id]
    model_repo_id: Mapped[int] = mapped_column(cascade("model_repo.id"))
    revision_id: Mapped[int] = mapped_column(cascade("model_repo_revision.id"), index=True)
    name: Mapped[str]
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class RepoFileRow(Row):
    """A file of a revision.

    `lfs_sha256` is what the source declared, `hash_sha256` what was computed from the bytes.
    """

    __tablename__ = "repo_file"
    __table_args__ = (UniqueConstraint("revision_id", "file_path"), one_of("type", FileKind))

    id: Mapped[Id]
    model_repo_id: Mapped[int] = mapped_column(cascade("model_repo.id"), index=True)
    revision_id: Mapped[int] = mapped_column(cascade("model_repo_revision.id"))
    position: Mapped[int]
    file_path: Mapped[str]
    size_bytes: Mapped[int]
    hash_sha256: Mapped[Sha256 | None] = mapped_column(index=True)
    lfs_sha256: Mapped[Sha256 | None] = mapped_column(index=True)
    git_oid: Mapped[str | None]
    xet_hash: Mapped[str | None]
    type: Mapped[State]
    storage_artifact_id: Mapped[int | None] = mapped_column(set_null("model_artifact.id"), index=True)
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class CodeApprovalRow(Row):
    """A Python file of a revision that may run: the user has read these bytes and allowed them."""

    __tablename__ = "code_approval"
    __table_args__ = (UniqueConstraint("revision_id", "file_path"),)

    id: Mapped[Id]
    revision_id: Mapped[int] = mapped_column(cascade("model_repo_revision.id"))
    file_path: Mapped[str]
    sha256: Mapped[Sha256]
    approved_at: Mapped[datetime]
