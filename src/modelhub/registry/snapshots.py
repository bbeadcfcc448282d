"""Folders of a store, linked from its blobs."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from modelhub.errors import RevisionNotFound
from modelhub.facts import Fact, SnapshotFile
from modelhub.refs import Digest, RepoPath
from modelhub.registry.artifacts import StoreKey, artifact_ids, is_store, store_id
from modelhub.registry.statements import batches, insert
from modelhub.registry.tables import (
    ArtifactRow,
    RepoRow,
    RevisionRow,
    SnapshotFileRow,
    SnapshotRow,
    StoreRow,
)


class SnapshotRecord(Fact):
    """A folder that holds files of a commit. `path` is relative to the store's root."""

    repo: str
    commit: str
    path: str
    files: tuple[SnapshotFile, ...]


class Snapshots:
    """The folders of all stores; each store has at most one for a commit."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(
        self,
        record_id: int,
        commit: str,
        path: str,
        files: Iterable[SnapshotFile],
        *,
        store: StoreKey,
    ) -> None:
        """Note that `files` lie in the folder `path`, beside those that were noted before.

        Raises:
            RevisionNotFound: for a commit that was never listed.
        """
        snapshot_id = self._snapshot(record_id, commit, path, store)
        for batch in batches(sorted(files, key=lambda file: file.path)):
            artifacts = artifact_ids(self._session, {file.sha256: file.size for file in batch})
            new = insert(self._session, SnapshotFileRow)
            replace = {name: new.excluded[name] for name in ("artifact_id", "size_bytes", "link_mode")}
            self._session.execute(
                new.on_conflict_do_update(index_elements=["snapshot_id", "path"], set_=replace),
                [
                    {
                        "snapshot_id": snapshot_id,
                        "path": file.path,
                        "artifact_id": artifacts[file.sha256],
                        "size_bytes": file.size,
                        "link_mode": file.link,
                    }
                    for file in batch
                ],
            )

    def find(self, record_id: int, commit: str, *, store: StoreKey) -> SnapshotRecord | None:
        """The folder of a commit, with its files by their paths; `None` if there is none."""
        found = (
            select(SnapshotRow.id, SnapshotRow.path, RepoRow.model_repo_name)
            .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .join(StoreRow, SnapshotRow.store_id == StoreRow.id)
            .where(
                RevisionRow.model_repo_id == record_id,
                RevisionRow.commit_hash == commit,
                is_store(store),
            )
        )
        row = self._session.execute(found).first()
        if row is None:
            return None
        snapshot_id, path, repo = row
        return SnapshotRecord(repo=repo, commit=commit, path=path, files=self._files(snapshot_id))

    def all(self, *, store: StoreKey) -> tuple[SnapshotRecord, ...]:
        """Every folder of a store, with its files."""
        found = (
            select(SnapshotRow.id, SnapshotRow.path, RepoRow.model_repo_name, RevisionRow.commit_hash)
            .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .join(StoreRow, SnapshotRow.store_id == StoreRow.id)
            .where(is_store(store))
            .order_by(SnapshotRow.path)
        )
        return tuple(
            SnapshotRecord(repo=repo, commit=commit, path=path, files=self._files(number))
            for number, path, repo, commit in self._session.execute(found).all()
        )

    def _snapshot(self, record_id: int, commit: str, path: str, store: StoreKey) -> int:
        revision = (
            select(RevisionRow.id)
            .where(RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash == commit)
            .with_for_update(key_share=True, read=True)
        )
        revision_id = self._session.scalar(revision)
        if revision_id is None:
            raise RevisionNotFound(
                f"commit {commit} of repository {record_id} was never listed", field="commit"
            )
        new = insert(self._session, SnapshotRow).values(
            store_id=store_id(self._session, store), revision_id=revision_id, path=path
        )
        saved = new.on_conflict_do_update(
            index_elements=["store_id", "revision_id"], set_={"path": new.excluded.path}
        )
        return self._session.scalars(saved.returning(SnapshotRow.id)).one()

    def _files(self, snapshot_id: int) -> tuple[SnapshotFile, ...]:
        found = (
            select(
                SnapshotFileRow.path,
                SnapshotFileRow.size_bytes,
                ArtifactRow.hash_sha256,
                SnapshotFileRow.link_mode,
            )
            .join(ArtifactRow, SnapshotFileRow.artifact_id == ArtifactRow.id)
            .where(SnapshotFileRow.snapshot_id == snapshot_id)
            .order_by(SnapshotFileRow.path)
        )
        return tuple(
            SnapshotFile(path=RepoPath(path), size=size, sha256=Digest(digest), link=link)
            for path, size, digest, link in self._session.execute(found)
        )
