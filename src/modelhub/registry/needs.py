"""Who needs some bytes, as conditions on the row of an artifact: one place that says what is alive."""

from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from modelhub.registry.tables import (
    ArtifactRow,
    ComponentFileRow,
    ComponentRow,
    LeaseArtifactRow,
    LeaseRepoRow,
    LeaseRow,
    ModelRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    SnapshotFileRow,
    SnapshotRow,
    VariantRow,
)

__all__ = ["held", "leased", "living", "needed"]


def needed(moment: datetime, *, forgotten: bool) -> ColumnElement[bool]:
    """That an artifact is listed by a repository, lies in a snapshot, is part of a model, or under a lease.

    With `forgotten`, what only forgotten repositories need is needed by nobody, unless somebody holds them.
    """
    alive = living(moment, forgotten=forgotten)
    parts = [_of_component(ComponentFileRow.artifact_id == ArtifactRow.id, alive), _left(alive)]
    if forgotten:
        parts += [_lent(column, alive) for column in (RepoFileRow.hash_sha256, RepoFileRow.lfs_sha256)]
    return or_(
        exists().where(RepoFileRow.hash_sha256 == ArtifactRow.hash_sha256, _mine(), alive),
        exists().where(RepoFileRow.lfs_sha256 == ArtifactRow.hash_sha256, _mine(), alive),
        _linked(alive),
        *parts,
        leased(moment),
    )


def living(moment: datetime, *, forgotten: bool) -> ColumnElement[bool]:
    """That a repository counts; with `forgotten`, one that was forgotten does only while somebody holds it, or
    files of its snapshots.
    """
    return or_(RepoRow.deleted_at.is_(None), held(moment)) if forgotten else true()


def held(moment: datetime) -> ColumnElement[bool]:
    """That somebody has a lease on a repository, or on files of its snapshots."""
    itself = exists().where(
        LeaseRepoRow.model_repo_id == RepoRow.id,
        LeaseRepoRow.lease_id == LeaseRow.id,
        LeaseRow.expires_at >= moment,
    )
    used = exists().where(
        RevisionRow.model_repo_id == RepoRow.id,
        SnapshotRow.revision_id == RevisionRow.id,
        SnapshotFileRow.snapshot_id == SnapshotRow.id,
        LeaseArtifactRow.artifact_id == SnapshotFileRow.artifact_id,
        LeaseArtifactRow.lease_id == LeaseRow.id,
        LeaseRow.expires_at >= moment,
    )
    return or_(itself.correlate(RepoRow), used.correlate(RepoRow))


def leased(moment: datetime) -> ColumnElement[bool]:
    """That somebody has a lease on an artifact."""
    return (
        exists()
        .where(
            LeaseArtifactRow.artifact_id == ArtifactRow.id,
            LeaseArtifactRow.lease_id == LeaseRow.id,
            LeaseRow.expires_at >= moment,
        )
        .correlate(ArtifactRow)
    )


def _mine() -> ColumnElement[bool]:
    return RepoFileRow.model_repo_id == RepoRow.id


def _linked(alive: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(
        SnapshotFileRow.artifact_id == ArtifactRow.id,
        SnapshotFileRow.snapshot_id == SnapshotRow.id,
        SnapshotRow.revision_id == RevisionRow.id,
        RevisionRow.model_repo_id == RepoRow.id,
        alive,
    )


def _of_component(which: ColumnElement[bool], alive: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(which, *_up(), alive)


def _up() -> tuple[ColumnElement[bool], ...]:
    """From a component's file to the repository in which its model was found."""
    return (
        ComponentFileRow.component_id == ComponentRow.id,
        ComponentRow.model_variant_id == VariantRow.id,
        VariantRow.logical_model_id == ModelRow.id,
        ModelRow.revision_id == RevisionRow.id,
        RevisionRow.model_repo_id == RepoRow.id,
    )


def _left(alive: ColumnElement[bool]) -> ColumnElement[bool]:
    """Files of components whose repository is not registered (any more). Asked once: they have no index."""
    those = select(ComponentFileRow.hash_sha256).where(
        ComponentFileRow.repo_file_id.is_(None), ComponentFileRow.hash_sha256.is_not(None), *_up(), alive
    )
    return ArtifactRow.hash_sha256.in_(those)


def _lent(column: InstrumentedAttribute[str | None], alive: ColumnElement[bool]) -> ColumnElement[bool]:
    """Files of a forgotten repository that models of a living one have as parts."""
    return exists().where(
        column == ArtifactRow.hash_sha256, ComponentFileRow.repo_file_id == RepoFileRow.id, *_up(), alive
    )
