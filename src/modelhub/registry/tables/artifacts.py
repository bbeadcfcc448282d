"""Bytes by their hash, where they lie, who needs them, and the folders made of them."""

from datetime import datetime

from sqlalchemy import Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.schema import ForeignKey

from modelhub.registry.tables.base import (
    Created,
    Id,
    Row,
    Sha256,
    State,
    Updated,
    cascade,
    one_of,
    set_null,
)
from modelhub.registry.types import Wide

LOCATION_STATES = ("partial", "unverified", "present", "deleting", "quarantined", "missing")


class ArtifactRow(Row):
    """Some bytes. Repository, filename, path, format and precision are those it was first seen with."""

    __tablename__ = "model_artifact"

    id: Mapped[Id]
    model_repo_id: Mapped[int | None] = mapped_column(set_null("model_repo.id"), index=True)
    filename: Mapped[str | None]
    path: Mapped[str | None]
    format: Mapped[str | None]
    precision: Mapped[str | None]
    part_id: Mapped[str | None]
    hash_sha256: Mapped[Sha256] = mapped_column(unique=True)
    size_bytes: Mapped[int]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]
    deleted_at: Mapped[datetime | None]


class StoreRow(Row):
    """A place for artifacts. `host` is the one that sees it, `""` where all of them do.

    The same folder on two hosts is two stores, unless they say that they share it. `moved_to` is the URI of the
    store that has all of its rows now; who still opens the old one is told so.
    """

    __tablename__ = "store"
    __table_args__ = (UniqueConstraint("uri", "host"),)

    id: Mapped[Id]
    uri: Mapped[str]
    host: Mapped[str]
    moved_to: Mapped[str | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class FetchClaimRow(Row):
    """That somebody fetches some bytes into a store, until when; by the database's clock."""

    __tablename__ = "fetch_claim"

    store_id: Mapped[int] = mapped_column(cascade("store.id"), primary_key=True)
    sha256: Mapped[Sha256] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    host: Mapped[str]
    expires_at: Mapped[datetime]


class ArtifactLocationRow(Row):
    """An artifact in a store: its state there, its path under the store's root.

    `last_accessed_at` stands here, on the row that a collector would change too: a lease that
    updates it makes the collector look again.
    """

    __tablename__ = "artifact_location"
    __table_args__ = (
        UniqueConstraint("store_id", "artifact_id"),
        Index("ix_artifact_location_state", "store_id", "state", "last_accessed_at"),
        one_of("state", LOCATION_STATES),
    )

    id: Mapped[Id]
    artifact_id: Mapped[int] = mapped_column(cascade("model_artifact.id"), index=True)
    store_id: Mapped[int] = mapped_column(cascade("store.id"))
    state: Mapped[State]
    path: Mapped[str]
    size_bytes: Mapped[int]
    last_accessed_at: Mapped[datetime | None]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class ArtifactProofRow(Row):
    """What a host saw of a location's file when it hashed it. Other hosts number files differently."""

    __tablename__ = "artifact_proof"

    location_id: Mapped[int] = mapped_column(cascade("artifact_location.id"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[int] = mapped_column(Wide)
    inode: Mapped[int] = mapped_column(Wide)
    size: Mapped[int]
    mtime_ns: Mapped[int]
    ctime_ns: Mapped[int]
    recorded_ns: Mapped[int]
    verified_at: Mapped[datetime | None]


class LeaseRow(Row):
    """Somebody needs artifacts of a store until `expires_at`, by the database's clock."""

    __tablename__ = "lease"

    id: Mapped[Id]
    store_id: Mapped[int] = mapped_column(cascade("store.id"), index=True)
    owner: Mapped[str]
    host: Mapped[str]
    boot_id: Mapped[str | None]
    purpose: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class LeaseArtifactRow(Row):
    """An artifact under a lease."""

    __tablename__ = "lease_artifact"

    lease_id: Mapped[int] = mapped_column(cascade("lease.id"), primary_key=True)
    artifact_id: Mapped[int] = mapped_column(
        ForeignKey("model_artifact.id", ondelete="RESTRICT"), primary_key=True, index=True
    )


class LeaseRepoRow(Row):
    """A repository under a lease: its rows and its folders stay."""

    __tablename__ = "lease_repo"

    lease_id: Mapped[int] = mapped_column(cascade("lease.id"), primary_key=True)
    model_repo_id: Mapped[int] = mapped_column(cascade("model_repo.id"), primary_key=True, index=True)


class SnapshotRow(Row):
    """A folder of a store that holds files of a revision."""

    __tablename__ = "snapshot"
    __table_args__ = (UniqueConstraint("store_id", "revision_id"),)

    id: Mapped[Id]
    store_id: Mapped[int] = mapped_column(cascade("store.id"))
    revision_id: Mapped[int] = mapped_column(cascade("model_repo_revision.id"), index=True)
    path: Mapped[str]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]


class SnapshotFileRow(Row):
    """A file in a snapshot. What it points at cannot be removed from the registry."""

    __tablename__ = "snapshot_file"

    snapshot_id: Mapped[int] = mapped_column(cascade("snapshot.id"), primary_key=True)
    path: Mapped[str] = mapped_column(primary_key=True)
    artifact_id: Mapped[int] = mapped_column(
        ForeignKey("model_artifact.id", ondelete="RESTRICT"), index=True
    )
    size_bytes: Mapped[int]
    link_mode: Mapped[str]
