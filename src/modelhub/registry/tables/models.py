"""What a revision's files are: models, variants, components; and the statements behind that."""

from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from modelhub.facts import FileKind
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
from modelhub.registry.tables.repos import RepoFileRow
from modelhub.registry.types import Json

MODEL_STATES = ("syncing", "error", "ready", "active")
VARIANT_STATES = ("preparing", "ready", "error")


class ComponentFileRow(Row):
    """A file of a component, one of its shards perhaps.

    It repeats what is known of the file, because its repository may not be registered here;
    where it is, `repo_file_id` points at it. `artifact_id` is for a file of no repository, such as
    what was quantized here.
    """

    __tablename__ = "component_file"
    __table_args__ = (UniqueConstraint("component_id", "position"), one_of("type", FileKind))

    id: Mapped[Id]
    component_id: Mapped[int] = mapped_column(cascade("logical_model_component.id"))
    position: Mapped[int]
    file_path: Mapped[str]
    size_bytes: Mapped[int]
    hash_sha256: Mapped[Sha256 | None]
    git_oid: Mapped[str | None]
    xet_hash: Mapped[str | None]
    type: Mapped[State]
    repo_file_id: Mapped[int | None] = mapped_column(set_null("repo_file.id"), index=True)
    artifact_id: Mapped[int | None] = mapped_column(set_null("model_artifact.id"), index=True)

    repo_file: Mapped[RepoFileRow | None] = relationship(lazy="raise", viewonly=True)


class ComponentRow(Row):
    """A part of a variant; its files lie in one folder of one repository at one commit.

    Without a commit it is not known yet which one; `source` is `""` where it is the source of the
    repository that the variant was found in.
    """

    __tablename__ = "logical_model_component"
    __table_args__ = (UniqueConstraint("model_variant_id", "position"),)

    id: Mapped[Id]
    model_variant_id: Mapped[int] = mapped_column(cascade("model_variant.id"))
    position: Mapped[int]
    component_name: Mapped[str]
    model_repo_name: Mapped[str]
    source: Mapped[str] = mapped_column(default="")
    commit_hash: Mapped[Commit | None]
    folder: Mapped[str]
    format: Mapped[str | None]
    precision: Mapped[str | None]
    parameters: Mapped[int | None]
    created_at: Mapped[Created]

    files: Mapped[list[ComponentFileRow]] = relationship(
        lazy="raise", order_by=ComponentFileRow.position, passive_deletes="all"
    )


class VariantRow(Row):
    """A runnable form of a model."""

    __tablename__ = "model_variant"
    __table_args__ = (
        UniqueConstraint("logical_model_id", "position"),
        one_of("status", VARIANT_STATES),
        Index("ix_model_variant_format", "format", "precision", "size_bytes", "logical_model_id"),
        Index("ix_model_variant_precision", "precision", "size_bytes", "logical_model_id"),
        {"sqlite_autoincrement": True},  # instances name it, also when it is gone
    )

    id: Mapped[Id]
    logical_model_id: Mapped[int] = mapped_column(cascade("logical_model.id"))
    position: Mapped[int]
    variant_name: Mapped[str]
    format: Mapped[str]
    precision: Mapped[str | None]
    parameters: Mapped[int | None]
    size_bytes: Mapped[int]
    status: Mapped[State]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]

    components: Mapped[list[ComponentRow]] = relationship(
        lazy="raise", order_by=ComponentRow.position, passive_deletes="all"
    )


class ModelRow(Row):
    """Something that can be run, as one revision of a repository holds it."""

    __tablename__ = "logical_model"
    __table_args__ = (
        UniqueConstraint("revision_id", "position"),
        one_of("status", MODEL_STATES),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[Id]
    revision_id: Mapped[int] = mapped_column(cascade("model_repo_revision.id"))
    position: Mapped[int]
    model_name: Mapped[str]
    category: Mapped[str]
    sub_category: Mapped[str | None]
    task_type: Mapped[str]
    subtask: Mapped[str | None]
    architecture: Mapped[str | None]
    context_length: Mapped[int | None]
    parameters: Mapped[int | None]
    preferred_format: Mapped[str | None]
    preferred_precision: Mapped[str | None]
    available_precisions: Mapped[JsonList]
    runtime_type: Mapped[str | None]
    min_vram_gb: Mapped[float | None]
    details: Mapped[JsonDoc] = mapped_column("metadata")
    status: Mapped[State]
    created_at: Mapped[Created]
    updated_at: Mapped[Updated]

    variants: Mapped[list[VariantRow]] = relationship(
        lazy="raise", order_by=VariantRow.position, passive_deletes="all"
    )


class FactRow(Row):
    """A statement about a revision and what it rests on. Contradictions are two rows."""

    __tablename__ = "fact"
    __table_args__ = (
        UniqueConstraint("revision_id", "position"),
        CheckConstraint("trust BETWEEN 0 AND 100", name="trust"),
    )

    id: Mapped[Id]
    revision_id: Mapped[int] = mapped_column(cascade("model_repo_revision.id"))
    position: Mapped[int]
    subject: Mapped[str]
    key: Mapped[str]
    value: Mapped[Any | None] = mapped_column(Json)
    evidence: Mapped[str]
    trust: Mapped[int]
    created_at: Mapped[Created]
