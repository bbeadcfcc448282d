"""Whom some bytes served, and who can give them again."""

from collections.abc import Iterable

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from modelhub.facts import Fact
from modelhub.refs import Digest, RepoPath
from modelhub.registry.artifacts import StoreKey, is_store
from modelhub.registry.tables import (
    ArtifactRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    SnapshotFileRow,
    SnapshotRow,
    StoreRow,
)
from modelhub.registry.usage import Used, users

__all__ = ["Served", "ServedFile"]


class ServedFile(Fact):
    """A file of a repository at a commit that has some bytes."""

    record_id: int
    repo: str
    commit: str
    path: RepoPath


class Served:
    """Questions about one blob's place in the world."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def users(self, digest: Digest) -> tuple[str, ...]:
        """The repositories that have these bytes in any commit, by name; forgotten ones too."""
        found = select(ArtifactRow.id, ArtifactRow.size_bytes).where(ArtifactRow.hash_sha256 == digest)
        row = self._session.execute(found).first()
        if row is None:
            return ()
        used = {row.id: Used(row.id, digest, row.size_bytes, "")}
        return users(self._session, used, None).get(row.id, ())

    def listed(self, digest: Digest, limit: int = 20) -> tuple[ServedFile, ...]:
        """Files with these bytes that a source may still give: of repositories that are registered first,
        of the commits that were listed last first.
        """
        declared = and_(RepoFileRow.hash_sha256.is_(None), RepoFileRow.lfs_sha256 == digest)
        rows = (
            select(
                RepoFileRow.model_repo_id,
                RepoRow.model_repo_name,
                RevisionRow.commit_hash,
                RepoFileRow.file_path,
            )
            .join(RevisionRow, RepoFileRow.revision_id == RevisionRow.id)
            .join(RepoRow, RepoFileRow.model_repo_id == RepoRow.id)
            .where(or_(RepoFileRow.hash_sha256 == digest, declared))
            .order_by(RepoRow.deleted_at.is_not(None), RevisionRow.id.desc(), RepoFileRow.file_path)
            .limit(limit)
        )
        return _files(self._session.execute(rows))

    def linked(self, digest: Digest, store: StoreKey) -> tuple[ServedFile, ...]:
        """The files of a store's snapshots that are these bytes by a hard link."""
        rows = (
            select(
                RevisionRow.model_repo_id,
                RepoRow.model_repo_name,
                RevisionRow.commit_hash,
                SnapshotFileRow.path,
            )
            .join(ArtifactRow, SnapshotFileRow.artifact_id == ArtifactRow.id)
            .join(SnapshotRow, SnapshotFileRow.snapshot_id == SnapshotRow.id)
            .join(StoreRow, SnapshotRow.store_id == StoreRow.id)
            .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .where(
                ArtifactRow.hash_sha256 == digest,
                is_store(store),
                SnapshotFileRow.link_mode == "hardlink",
            )
            .order_by(RepoRow.model_repo_name, RevisionRow.commit_hash, SnapshotFileRow.path)
        )
        return _files(self._session.execute(rows))


def _files(rows: Iterable[tuple[int, str, str, str]]) -> tuple[ServedFile, ...]:
    return tuple(
        ServedFile(record_id=record, repo=repo, commit=commit, path=RepoPath(path))
        for record, repo, commit, path in rows
    )
