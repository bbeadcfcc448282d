"""Which bytes and folders of a store nobody needs: found, marked, looked at again before they go.

The mark is a purge's: `deleting`. It is set in one transaction that locks the bytes first and only then asks who
needs them, so that on PostgreSQL too it sees whatever lease was taken before; and whoever vouches for the bytes
afterwards overwrites it. What was marked and not deleted is ended by the next collection, or purge.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    delete,
    exists,
    func,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.orm import Session

from modelhub.facts import Spared
from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, last_used, store_ids
from modelhub.registry.job_states import BRINGING, at_work
from modelhub.registry.needs import living, needed
from modelhub.registry.statements import batches, close_snapshots, now, steady
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    ComponentFileRow,
    ComponentRow,
    JobRow,
    LeaseArtifactRow,
    LeaseRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    SnapshotRow,
)

__all__ = ["Garbage", "Unneeded"]

_LEFT = ("present", "missing", "quarantined", "unverified", "partial")


@dataclass(frozen=True, slots=True)
class Unneeded:
    """Bytes that nobody needs, last used `idle` seconds ago. `name` is a path that they had, if any."""

    digest: Digest
    size: int
    state: str
    name: str
    idle: float


class Garbage:
    """What a store has, and nobody needs. With `forgotten`, forgotten repositories need nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def unneeded(
        self, store: StoreKey, grace: timedelta, *, forgotten: bool = False
    ) -> tuple[Unneeded, ...]:
        """What was not used for `grace`, and what is marked already."""
        moment = now(self._session)
        idle, marked = self._idle(moment, grace), ArtifactLocationRow.state == "deleting"
        found = (
            select(
                ArtifactRow.hash_sha256,
                ArtifactLocationRow.size_bytes,
                ArtifactLocationRow.state,
                ArtifactRow.path,
                last_used(),
            )
            .join(ArtifactRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
            .where(
                ArtifactLocationRow.store_id == _home(store),
                or_(marked, idle),
                ~needed(moment, forgotten=forgotten),
            )
            .order_by(ArtifactRow.hash_sha256)
        )
        return tuple(
            Unneeded(Digest(digest), size, state, path or "", max(0.0, (moment - used).total_seconds()))
            for digest, size, state, path, used in self._session.execute(found)
        )

    def mark(
        self, store: StoreKey, digests: Iterable[Digest], grace: timedelta, *, forgotten: bool = False
    ) -> int:
        """Mark those that still nobody needs: how many."""
        marked = 0
        for batch in batches(sorted(digests)):
            # By hash, as everybody locks bytes. The question below is another statement: it sees what those
            # have done for whom this had to wait.
            mine = select(ArtifactRow.id).where(ArtifactRow.hash_sha256.in_(batch))
            locked = mine.order_by(ArtifactRow.hash_sha256).with_for_update()
            numbers = self._session.scalars(locked).all()
            moment = now(self._session)
            free = select(ArtifactRow.id).where(
                ArtifactRow.id.in_(numbers), ~needed(moment, forgotten=forgotten)
            )
            marking = update(ArtifactLocationRow).where(
                ArtifactLocationRow.store_id == _home(store),
                ArtifactLocationRow.artifact_id.in_(free),
                self._idle(moment, grace),
            )
            done = marking.values(state="deleting").returning(ArtifactLocationRow.id)
            quick = done.execution_options(synchronize_session=False)
            marked += len(self._session.scalars(quick).all())
        return marked

    def spare(self, store: StoreKey) -> None:
        """Take back the marks that were left on bytes which somebody needs."""
        marked = (
            ArtifactLocationRow.store_id == _home(store),
            ArtifactLocationRow.state == "deleting",
        )
        # Only these are asked about: of everything that is needed there may be a million.
        needs = select(ArtifactRow.id).where(
            ArtifactRow.id.in_(select(ArtifactLocationRow.artifact_id).where(*marked)),
            needed(now(self._session), forgotten=False),
        )
        kept = update(ArtifactLocationRow).where(*marked, ArtifactLocationRow.artifact_id.in_(needs))
        quick = kept.values(state="present").execution_options(synchronize_session=False)
        self._session.execute(quick)

    def confirm(self, digest: Digest, store: StoreKey, *, forgotten: bool = False) -> bool:
        """Whether bytes are still marked, and still nobody's; the mark goes where somebody needs them."""
        moment = now(self._session)
        mine = (
            ArtifactLocationRow.store_id == _home(store),
            ArtifactLocationRow.state == "deleting",
            ArtifactLocationRow.artifact_id.in_(
                select(ArtifactRow.id).where(ArtifactRow.hash_sha256 == digest)
            ),
        )
        wanted = select(
            exists().where(ArtifactRow.hash_sha256 == digest, needed(moment, forgotten=forgotten))
        )
        if not self._session.scalar(wanted):
            return bool(self._session.scalar(select(exists().where(*mine))))
        spared = update(ArtifactLocationRow).where(*mine).values(state="present")
        self._session.execute(spared.execution_options(synchronize_session=False))
        return False

    def unknown(self, digests: Iterable[Digest], store: StoreKey) -> frozenset[Digest]:
        """Those files that this store's records do not have, and that nobody needs either."""
        moment, found = now(self._session), set(digests)
        for batch in batches(sorted(found)):
            here = (
                select(ArtifactRow.hash_sha256)
                .join(ArtifactLocationRow)
                .where(ArtifactRow.hash_sha256.in_(batch), ArtifactLocationRow.store_id == _home(store))
            )
            found -= set(map(Digest, self._session.scalars(here)))
        return frozenset(found - self._wanted(found, moment))

    def known(self, store: StoreKey) -> dict[Digest, str]:
        """The state of everything that the store has a record of."""
        rows = (
            select(ArtifactRow.hash_sha256, ArtifactLocationRow.state)
            .join(ArtifactLocationRow)
            .where(ArtifactLocationRow.store_id == _home(store))
        )
        return {Digest(digest): state for digest, state in self._session.execute(rows)}

    def folders(self, store: StoreKey) -> frozenset[str]:
        """The snapshots that are written down, relative to the store's root."""
        rows = select(SnapshotRow.path).where(SnapshotRow.store_id == _home(store))
        return frozenset(self._session.scalars(rows))

    def lent(self) -> frozenset[tuple[str, str]]:
        """Repositories that are not registered and of which models have files, by name and commit: their
        folders are no snapshots that are written down.
        """
        rows = (
            select(ComponentRow.model_repo_name, ComponentRow.commit_hash)
            .join(ComponentFileRow, ComponentFileRow.component_id == ComponentRow.id)
            .where(ComponentFileRow.repo_file_id.is_(None), ComponentRow.commit_hash.is_not(None))
            .distinct()
        )
        return frozenset((name, commit) for name, commit in self._session.execute(rows) if commit)

    def close_snapshots(self) -> None:
        """Let nobody write a folder down until this transaction ends."""
        close_snapshots(self._session)

    def forgotten_folders(self, store: StoreKey) -> tuple[str, ...]:
        """The snapshots of forgotten repositories that nobody holds."""
        rows = select(SnapshotRow.path).where(*self._droppable(store)).order_by(SnapshotRow.path)
        return tuple(self._session.scalars(rows))

    def drop_snapshot(self, path: str, store: StoreKey) -> bool:
        """Let a forgotten repository have no snapshot there any more; whether one was still droppable."""
        gone = delete(SnapshotRow).where(*self._droppable(store), SnapshotRow.path == path)
        quick = gone.returning(SnapshotRow.id).execution_options(synchronize_session=False)
        return bool(self._session.scalars(quick).all())

    def spared(
        self, store: StoreKey, grace: timedelta, *, forgotten: bool = False
    ) -> tuple[Spared, ...]:
        """What stays although no repository needs it, and what leases hold, summed by the reason."""
        moment = now(self._session)
        young = (
            select(func.count(), func.coalesce(func.sum(ArtifactLocationRow.size_bytes), 0))
            .select_from(ArtifactLocationRow)
            .join(ArtifactRow)
            .where(
                ArtifactLocationRow.store_id == _home(store),
                ArtifactLocationRow.state == "present",
                ~self._idle(moment, grace),
                ~needed(moment, forgotten=forgotten),
            )
        )
        count, size = self._session.execute(young).one()
        rows = [("used a moment ago, or a job is running", count, size)]
        held = (
            select(LeaseRow.purpose, func.count(), func.sum(ArtifactLocationRow.size_bytes))
            .join(LeaseArtifactRow, LeaseArtifactRow.lease_id == LeaseRow.id)
            .join(
                ArtifactLocationRow,
                (ArtifactLocationRow.artifact_id == LeaseArtifactRow.artifact_id)
                & (ArtifactLocationRow.store_id == LeaseRow.store_id),
            )
            .where(LeaseRow.expires_at >= moment, LeaseRow.store_id == _home(store))
            .group_by(LeaseRow.purpose)
            .order_by(LeaseRow.purpose)
        )
        rows += [(why, count, size) for why, count, size in self._session.execute(held)]
        return tuple(Spared(reason=why, files=n, bytes=int(size)) for why, n, size in rows if n)

    def _wanted(self, digests: Iterable[Digest], moment: datetime) -> set[Digest]:
        """Those that somebody needs by name, although this store never had them. Bytes that no row knows at
        all are listed by nobody but files that wait to be fetched.
        """
        found: set[Digest] = set()
        for batch in batches(sorted(digests)):
            known = select(ArtifactRow.hash_sha256).where(
                ArtifactRow.hash_sha256.in_(batch), needed(moment, forgotten=False)
            )
            found |= set(map(Digest, self._session.scalars(known)))
            found |= set(map(Digest, self._session.scalars(_listed(batch))))
        return found

    def _idle(self, moment: datetime, grace: timedelta) -> ColumnElement[bool]:
        """Not used for so long, and not since a job began that may be bringing it here."""
        running = select(func.min(JobRow.started_at)).where(at_work(BRINGING, steady(self._session)))
        first = self._session.scalar(running)
        until = min(moment - grace, first) if first else moment - grace
        return ArtifactLocationRow.state.in_(_LEFT) & (last_used() < until)

    def _droppable(self, store: StoreKey) -> tuple[ColumnElement[bool], ...]:
        moment = now(self._session)
        dead = (
            select(RevisionRow.id)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .where(RepoRow.deleted_at.is_not(None), ~living(moment, forgotten=True))
        )
        return (SnapshotRow.store_id == _home(store), SnapshotRow.revision_id.in_(dead))


def _home(store: StoreKey) -> ScalarSelect[Any]:
    return store_ids(store).scalar_subquery()


def _listed(digests: Iterable[Digest]) -> Any:
    wanted = list(digests)
    columns = (RepoFileRow.hash_sha256, RepoFileRow.lfs_sha256, ComponentFileRow.hash_sha256)
    return union(*(select(column).where(column.in_(wanted)) for column in columns))
