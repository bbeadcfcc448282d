"""What a store has, by who has it: repositories, and the components of their models."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, func, select, union
from sqlalchemy.orm import Session

from modelhub.registry.artifacts import StoreKey, last_used, store_ids
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    ComponentFileRow,
    ComponentRow,
    ModelRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    SnapshotFileRow,
    SnapshotRow,
    VariantRow,
)

__all__ = ["Has", "Stored"]

Rows = Select[*tuple[Any, ...]]

_HASHES = (RepoFileRow.hash_sha256, RepoFileRow.lfs_sha256)


class Has(NamedTuple):
    """That a repository, by its number, has an artifact of so many bytes; in a component, if that is asked."""

    repo: int
    artifact: int
    size: int
    component: str = ""


class Stored:
    """The bytes of a store that are there."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def total(self, store: StoreKey) -> tuple[int, int]:
        """How many blobs, and their bytes."""
        counted = select(func.count(), func.coalesce(func.sum(ArtifactLocationRow.size_bytes), 0))
        files, size = self._session.execute(counted.where(*_here(store))).one()
        return files, int(size)

    def copies(self, store: StoreKey) -> int:
        """Bytes that snapshots have beside the blobs, where their files are no links."""
        copied = (
            select(func.coalesce(func.sum(SnapshotFileRow.size_bytes), 0))
            .join(SnapshotRow, SnapshotFileRow.snapshot_id == SnapshotRow.id)
            .where(SnapshotRow.store_id.in_(store_ids(store)), SnapshotFileRow.link_mode == "copy")
        )
        return int(self._session.scalar(copied) or 0)

    def by_repo(self, store: StoreKey, repo: int | None = None) -> Iterator[Has]:
        """Each artifact once for each repository that has it."""
        what = (RepoRow.id, ArtifactRow.id, ArtifactLocationRow.size_bytes)
        halves = [
            _located(select(*what), store)
            .join(RepoFileRow, column == ArtifactRow.hash_sha256)
            .join(RepoRow, RepoFileRow.model_repo_id == RepoRow.id)
            for column in _HASHES
        ]
        linked = (
            _located(select(*what), store)
            .join(SnapshotFileRow, SnapshotFileRow.artifact_id == ArtifactRow.id)
            .join(SnapshotRow, SnapshotFileRow.snapshot_id == SnapshotRow.id)
            .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
        )
        return self._has([*halves, linked, *self._parts(what, store)], repo)

    def by_component(self, store: StoreKey, repo: int | None = None) -> Iterator[Has]:
        """Each artifact once for each component of a repository's models that has it."""
        what = (RepoRow.id, ArtifactRow.id, ArtifactLocationRow.size_bytes, ComponentRow.component_name)
        halves = [
            _up(
                _located(select(*what), store)
                .join(RepoFileRow, column == ArtifactRow.hash_sha256)
                .join(ComponentFileRow, ComponentFileRow.repo_file_id == RepoFileRow.id)
            )
            for column in _HASHES
        ]
        return self._has([*halves, *self._parts(what, store)], repo)

    def last_used(self, store: StoreKey) -> dict[int, datetime]:
        """When each artifact was used last."""
        rows = select(ArtifactLocationRow.artifact_id, last_used()).where(*_here(store))
        return {int(row[0]): row[1] for row in self._session.execute(rows)}

    def _parts(self, what: tuple[Any, ...], store: StoreKey) -> Iterator[Rows]:
        """Files of components that no registered repository lists, and those that were made here."""
        made = _located(select(*what), store).join(
            ComponentFileRow, ComponentFileRow.artifact_id == ArtifactRow.id
        )
        left = _located(select(*what), store).join(
            ComponentFileRow, ComponentFileRow.hash_sha256 == ArtifactRow.hash_sha256
        )
        yield _up(made)
        yield _up(left).where(ComponentFileRow.repo_file_id.is_(None))

    def _has(self, parts: list[Rows], repo: int | None) -> Iterator[Has]:
        if repo is not None:
            parts = [part.where(RepoRow.id == repo) for part in parts]
        for row in self._session.execute(union(*parts)):
            yield Has(*row)


def _here(store: StoreKey) -> tuple[ColumnElement[bool], ...]:
    return (ArtifactLocationRow.store_id.in_(store_ids(store)), ArtifactLocationRow.state == "present")


def _located(rows: Rows, store: StoreKey) -> Rows:
    return (
        rows.select_from(ArtifactLocationRow)
        .join(ArtifactRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
        .where(*_here(store))
    )


def _up(rows: Rows) -> Rows:
    """From a component's file to the repository in which its model was found."""
    return (
        rows.join(ComponentRow, ComponentFileRow.component_id == ComponentRow.id)
        .join(VariantRow, ComponentRow.model_variant_id == VariantRow.id)
        .join(ModelRow, VariantRow.logical_model_id == ModelRow.id)
        .join(RevisionRow, ModelRow.revision_id == RevisionRow.id)
        .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
    )
