"""Takes the bytes of repositories out of a store that is too full, and leaves what is known of them.

What was evicted is fetched again at its next use. The mark is that of a purge, `deleting`; where an eviction was cut
short, the next collection of garbage takes it back, since some repository still lists the bytes.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, delete, exists, select, update
from sqlalchemy.orm import Session

from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, last_used, store_ids
from modelhub.registry.needs import held, leased
from modelhub.registry.statements import batches, close_snapshots, now
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    ComponentFileRow,
    RepoRow,
    RevisionRow,
    SnapshotFileRow,
    SnapshotRow,
)

__all__ = ["Evictable", "Evictions"]

LEAST = 64 * 1024
"""Bytes. What is smaller describes a repository, and is needed to plan without the network."""


class Evictable(NamedTuple):
    """A repository, by its number and name; the large files of its snapshots, with their sizes; their last use."""

    repo: int
    name: str
    files: dict[Digest, int]
    last_used: datetime


class Evictions:
    """The repositories of a store that can be fetched again."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def candidates(self, store: StoreKey) -> tuple[Evictable, ...]:
        """Those that nobody holds and that are not pinned, the least recently used first."""
        rows = (
            _linked(
                select(
                    RepoRow.id,
                    RepoRow.model_repo_name,
                    ArtifactRow.hash_sha256,
                    ArtifactLocationRow.size_bytes,
                    last_used(),
                )
            )
            .where(*_here(store), RepoRow.pinned.is_(False), ~held(now(self._session)))
            .order_by(RepoRow.id)
        )
        found: dict[int, Evictable] = {}
        for number, name, digest, size, moment in self._session.execute(rows):
            before = found.setdefault(number, Evictable(number, name, {}, moment))
            before.files[Digest(digest)] = size
            found[number] = before._replace(last_used=max(before.last_used, moment))
        return tuple(sorted(found.values(), key=lambda one: (one.last_used, one.repo)))

    def users(self, store: StoreKey) -> dict[Digest, set[int]]:
        """The repositories with a snapshot that has each large file; 0 for somebody with a lease on it, and for
        a file that was made here and comes from nowhere again.
        """
        moment = now(self._session)
        rows = _linked(select(ArtifactRow.hash_sha256, RepoRow.id)).where(*_here(store))
        found: dict[Digest, set[int]] = {}
        for digest, number in self._session.execute(rows):
            found.setdefault(Digest(digest), set()).add(number)
        bound = select(ArtifactRow.hash_sha256).where(leased(moment) | _made())
        for digest in map(Digest, self._session.scalars(bound)):
            found.setdefault(digest, set()).add(0)
        return found

    def evict(self, repo: int, store: StoreKey) -> tuple[tuple[str, ...], tuple[Digest, ...]]:
        """Forget the snapshots of a repository and mark their large files that no other has: the folders and
        the files. Neither where somebody holds it by now. Nobody writes a folder down until this transaction ends.
        """
        self._session.execute(select(RepoRow.id).where(RepoRow.id == repo).with_for_update())
        # Not before: a purge has locked the repository when it deletes snapshots.
        close_snapshots(self._session)
        mine = _linked(select(ArtifactRow.id, ArtifactRow.hash_sha256)).where(
            *_here(store),
            RepoRow.id == repo,
            RepoRow.pinned.is_(False),
            ~held(now(self._session)),
        )
        large = {int(row[0]): str(row[1]) for row in self._session.execute(mine.distinct())}
        if not large:
            return (), ()
        ids = select(RevisionRow.id).where(RevisionRow.model_repo_id == repo)
        gone = delete(SnapshotRow).where(
            SnapshotRow.store_id.in_(store_ids(store)), SnapshotRow.revision_id.in_(ids)
        )
        quick = {"synchronize_session": False}
        folders = self._session.scalars(
            gone.returning(SnapshotRow.path).execution_options(**quick)
        ).all()
        marked: set[int] = set()
        for batch in batches(sorted(large, key=lambda number: large[number])):
            locked = select(ArtifactRow.id).where(ArtifactRow.id.in_(batch))
            self._session.execute(locked.order_by(ArtifactRow.hash_sha256).with_for_update()).all()
            free = select(ArtifactRow.id).where(ArtifactRow.id.in_(batch), ~self._bound())
            marking = update(ArtifactLocationRow).where(
                ArtifactLocationRow.store_id.in_(store_ids(store)),
                ArtifactLocationRow.state == "present",
                ArtifactLocationRow.artifact_id.in_(free),
            )
            done = marking.values(state="deleting").returning(ArtifactLocationRow.artifact_id)
            marked |= set(self._session.scalars(done.execution_options(**quick)))
        return tuple(sorted(folders)), tuple(sorted(Digest(large[number]) for number in marked))

    def confirm(self, digest: Digest, store: StoreKey) -> bool:
        """Whether a file is still marked, in no snapshot and under no lease."""
        mine = (
            select(ArtifactLocationRow.id)
            .join(ArtifactRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
            .where(
                ArtifactRow.hash_sha256 == digest,
                ArtifactLocationRow.store_id.in_(store_ids(store)),
                ArtifactLocationRow.state == "deleting",
                ~self._bound(),
            )
        )
        return self._session.scalar(mine) is not None

    def _bound(self) -> ColumnElement[bool]:
        linked = exists().where(SnapshotFileRow.artifact_id == ArtifactRow.id).correlate(ArtifactRow)
        return leased(now(self._session)) | linked | _made()


def _made() -> ColumnElement[bool]:
    """That it is of no repository: it was made here."""
    return exists().where(ComponentFileRow.artifact_id == ArtifactRow.id).correlate(ArtifactRow)


def _here(store: StoreKey) -> tuple[ColumnElement[bool], ...]:
    """A large file that is there, in a snapshot of the same store."""
    return (
        ArtifactLocationRow.store_id.in_(store_ids(store)),
        ArtifactLocationRow.state == "present",
        ArtifactLocationRow.size_bytes >= LEAST,
        SnapshotRow.store_id == ArtifactLocationRow.store_id,
    )


def _linked(rows: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
    return (
        rows.select_from(ArtifactLocationRow)
        .join(ArtifactRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
        .join(SnapshotFileRow, SnapshotFileRow.artifact_id == ArtifactRow.id)
        .join(SnapshotRow, SnapshotFileRow.snapshot_id == SnapshotRow.id)
        .join(RevisionRow, SnapshotRow.revision_id == RevisionRow.id)
        .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
    )
