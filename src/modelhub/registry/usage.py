"""Which bytes a repository has, and which other repositories have the same."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true
from sqlalchemy.orm import Session

from modelhub.refs import Digest
from modelhub.registry.statements import batches
from modelhub.registry.tables import (
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

_NOBODYS = ComponentFileRow.repo_file_id.is_(None)
"""Of a component's file: its repository is not registered here, or not any more."""

Rows = Select[*tuple[Any, ...]]

__all__ = ["Used", "artifacts_of", "lent_to", "users"]


@dataclass(frozen=True, slots=True)
class Used:
    """Some bytes, by the number of their row; a path that they have in the repository."""

    id: int
    digest: Digest
    size: int
    path: str

    def file(self) -> dict[str, Any]:
        """As a file of the store."""
        return {"path": self.path, "size": self.size, "sha256": self.digest}


def artifacts_of(session: Session, record_id: int) -> dict[int, Used]:
    """The artifacts of any revision of a repository: listed, linked into a snapshot, made of it, seen
    with it first, or parts of its models that no registered repository lists.
    """
    found: dict[int, Used] = {}
    for rows in _sources(record_id):
        for number, digest, size, path in session.execute(rows):
            found.setdefault(number, Used(number, Digest(digest), size, path or ""))
    return found


def lent_to(session: Session, record_id: int) -> tuple[tuple[str, str], ...]:
    """The repositories, at commits, that are not registered and of which this one alone has files, by name."""
    place = (ComponentRow.model_repo_name, ComponentRow.commit_hash)
    owner = RevisionRow.model_repo_id
    rows = _of_components(select(*place)).where(_NOBODYS, ComponentFileRow.artifact_id.is_(None))
    rows = rows.where(ComponentRow.commit_hash.is_not(None)).group_by(*place).order_by(*place)
    alone = rows.having(func.min(owner) == record_id, func.max(owner) == record_id)
    return tuple((name, commit) for name, commit in session.execute(alone))


def _sources(record_id: int) -> Iterator[Rows]:
    what = (ArtifactRow.id, ArtifactRow.hash_sha256, ArtifactRow.size_bytes)
    listed = func.coalesce(RepoFileRow.hash_sha256, RepoFileRow.lfs_sha256)
    yield (
        select(*what, RepoFileRow.file_path)
        .join(RepoFileRow, listed == ArtifactRow.hash_sha256)
        .where(RepoFileRow.model_repo_id == record_id)
    )
    yield (
        select(*what, SnapshotFileRow.path)
        .join(SnapshotFileRow, SnapshotFileRow.artifact_id == ArtifactRow.id)
        .join(SnapshotRow, SnapshotFileRow.snapshot_id == SnapshotRow.id)
        .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
        .where(RevisionRow.model_repo_id == record_id)
    )
    made = _of_components(select(*what, ComponentFileRow.file_path)).join(
        ArtifactRow, ComponentFileRow.artifact_id == ArtifactRow.id
    )
    yield made.where(RevisionRow.model_repo_id == record_id)
    left = _of_components(select(*what, ComponentFileRow.file_path)).join(
        ArtifactRow, ComponentFileRow.hash_sha256 == ArtifactRow.hash_sha256
    )
    yield left.where(RevisionRow.model_repo_id == record_id, _NOBODYS)
    yield select(*what, ArtifactRow.path).where(ArtifactRow.model_repo_id == record_id)


def users(
    session: Session, artifacts: Mapping[int, Used], but: int | None
) -> dict[int, tuple[str, ...]]:
    """The repositories that have these bytes too, in any revision, by artifact; all `but` one.

    A forgotten repository counts: what is known of it stays for when it comes back.
    """
    found: dict[int, set[str]] = {}
    for batch in batches(artifacts.values()):
        numbers = {one.digest: one.id for one in batch}
        for digest, name, deleted in _rows(session, numbers, but):
            found.setdefault(numbers[digest], set()).add(f"{name} (forgotten)" if deleted else name)
    return {number: tuple(sorted(names)) for number, names in found.items()}


def _rows(session: Session, numbers: Mapping[Digest, int], but: int | None) -> Iterator[tuple[Any, ...]]:
    other = true() if but is None else RepoRow.id != but
    digests = list(numbers)
    shown = (RepoRow.model_repo_name, RepoRow.deleted_at)
    for column in (RepoFileRow.hash_sha256, RepoFileRow.lfs_sha256):
        listed = (
            select(column, *shown)
            .join(RepoRow, RepoFileRow.model_repo_id == RepoRow.id)
            .where(column.in_(digests), other)
        )
        yield from map(tuple, session.execute(listed.distinct()))
    linked = (
        select(ArtifactRow.hash_sha256, *shown)
        .join(SnapshotFileRow, SnapshotFileRow.artifact_id == ArtifactRow.id)
        .join(SnapshotRow, SnapshotFileRow.snapshot_id == SnapshotRow.id)
        .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
        .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
        .where(ArtifactRow.id.in_(numbers.values()), other)
    )
    yield from map(tuple, session.execute(linked.distinct()))
    yield from _parts(session, numbers, but, other)


def _parts(
    session: Session, numbers: Mapping[Digest, int], but: int | None, other: ColumnElement[bool]
) -> Iterator[tuple[Any, ...]]:
    """Components of other repositories with these bytes: made here, or files of this repository, or of one
    that is not registered any more.
    """
    shown = (RepoRow.model_repo_name, RepoRow.deleted_at)
    owned = _of_components(select(ArtifactRow.hash_sha256, *shown)).join(
        ArtifactRow, ComponentFileRow.artifact_id == ArtifactRow.id
    )
    owned = owned.join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
    yield from map(tuple, session.execute(owned.where(ArtifactRow.id.in_(numbers.values()), other)))
    left = _of_components(select(ComponentFileRow.hash_sha256, *shown)).join(
        RepoRow, RevisionRow.model_repo_id == RepoRow.id
    )
    left = left.where(_NOBODYS, ComponentFileRow.hash_sha256.in_(list(numbers)), other)
    yield from map(tuple, session.execute(left.distinct()))
    if but is None:
        return
    digest = func.coalesce(RepoFileRow.hash_sha256, RepoFileRow.lfs_sha256)
    pointing = (
        _of_components(select(digest, *shown))
        .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
        .join(RepoFileRow, ComponentFileRow.repo_file_id == RepoFileRow.id)
        .where(RepoFileRow.model_repo_id == but, digest.in_(list(numbers)), other)
    )
    yield from map(tuple, session.execute(pointing.distinct()))


def _of_components(rows: Rows) -> Rows:
    """`rows` of the files of components, with the revisions that they were found in."""
    return (
        rows.select_from(ComponentFileRow)
        .join(ComponentRow, ComponentFileRow.component_id == ComponentRow.id)
        .join(VariantRow, ComponentRow.model_variant_id == VariantRow.id)
        .join(ModelRow, VariantRow.logical_model_id == ModelRow.id)
        .join(RevisionRow, ModelRow.revision_id == RevisionRow.id)
    )
