"""A store that moves: who still needs the old place, and the switch to the new one."""

from collections.abc import Collection, Iterator, Mapping

from sqlalchemy import Executable, delete, func, select, true, update
from sqlalchemy.orm import Session

from modelhub.facts import JobKind, JobStatus
from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, is_store, store_id, store_ids
from modelhub.registry.job_states import BRINGING, at_work
from modelhub.registry.statements import batches, close_jobs, now, steady
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactProofRow,
    ArtifactRow,
    FetchClaimRow,
    JobRow,
    LeaseRow,
    SnapshotFileRow,
    SnapshotRow,
    StoreRow,
)

__all__ = ["Moves"]

_UPKEEP = (JobKind.REPO_PURGE.value, JobKind.STORE_GC.value, JobKind.STORE_SCRUB.value)

Links = Mapping[str, Mapping[str, str]]
"""How each file of each snapshot, by their paths, hangs together with its blob."""


class Moves:
    """Stores that are moved."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def moved_to(self, store: StoreKey) -> str | None:
        """Where the store is now, if it is not here any more."""
        return self._session.scalar(select(StoreRow.moved_to).where(is_store(store)))

    def left(self, store: StoreKey, host: str) -> tuple[StoreKey, ...]:
        """The places that this store was moved from: those of all hosts, and those that `host` sees alone.

        A folder of the same path on another host is another place.
        """
        found = select(StoreRow.uri, StoreRow.host).where(
            StoreRow.moved_to == store.uri, StoreRow.host.in_(("", host))
        )
        return tuple(StoreKey(*row) for row in self._session.execute(found.order_by(StoreRow.id)))

    def is_known(self, store: StoreKey) -> bool:
        """Whether this database has ever used the place."""
        return self._session.scalar(store_ids(store)) is not None

    def snapshots(self, store: StoreKey) -> int:
        """How many folders it has."""
        mine = store_ids(store)
        counted = select(func.count()).where(SnapshotRow.store_id.in_(mine))
        return self._session.scalar(counted) or 0

    def begin(self, goal: StoreKey) -> None:
        """Let the place be written: made known, and no longer one that others left."""
        self._session.execute(update(StoreRow).where(is_store(goal)).values(moved_to=None))
        store_id(self._session, goal)

    def holders(self, store: StoreKey) -> tuple[str, ...]:
        """A sentence for each who uses it now; who has died, or let a lease run out, does not."""
        return (*self._leases(store), *self._fetches(store), *self._jobs(store))

    def _leases(self, store: StoreKey) -> Iterator[str]:
        found = (
            select(LeaseRow.owner, LeaseRow.purpose)
            .join(StoreRow, LeaseRow.store_id == StoreRow.id)
            .where(is_store(store), LeaseRow.expires_at >= now(self._session))
            .distinct()
            .order_by(LeaseRow.owner, LeaseRow.purpose)
        )
        yield from (f"{owner} is {purpose}" for owner, purpose in self._session.execute(found))

    def _fetches(self, store: StoreKey) -> Iterator[str]:
        found = (
            select(FetchClaimRow.owner)
            .join(StoreRow, FetchClaimRow.store_id == StoreRow.id)
            .where(is_store(store), FetchClaimRow.expires_at > now(self._session))
            .distinct()
            .order_by(FetchClaimRow.owner)
        )
        yield from (f"{owner} is fetching" for owner in self._session.scalars(found))

    def _jobs(self, store: StoreKey) -> Iterator[str]:
        """Which store a sync or a fetch fills, its row does not say: each counts."""
        found = select(JobRow).where(at_work((*BRINGING, *_UPKEEP), steady(self._session)))
        for row in self._session.scalars(found.order_by(JobRow.id)):
            if row.kind in BRINGING or row.input.get("store") == store.uri:
                yield f"job {row.id} is running: {row.kind}"

    def close(self, old: StoreKey, new: StoreKey) -> None:
        """Let nobody begin anything with either until this transaction ends."""
        close_jobs(self._session)
        uris = select(StoreRow.id).where(StoreRow.uri.in_([old.uri, new.uri])).order_by(StoreRow.id)
        self._session.execute(uris.with_for_update()).all()

    def present(self, store: StoreKey) -> frozenset[Digest]:
        """The bytes that it has by its rows."""
        found = (
            select(ArtifactRow.hash_sha256)
            .join(ArtifactLocationRow, ArtifactLocationRow.artifact_id == ArtifactRow.id)
            .join(StoreRow, ArtifactLocationRow.store_id == StoreRow.id)
            .where(is_store(store), ArtifactLocationRow.state == "present")
        )
        return frozenset(map(Digest, self._session.scalars(found)))

    def switch(self, old: StoreKey, new: StoreKey, *, lost: Collection[Digest], links: Links) -> None:
        """Let the new store have every row of the old one. `lost` are missing in it."""
        home, goal = store_id(self._session, old), store_id(self._session, new)
        self._lose(home, lost)
        self._merge(home, goal)
        self._relink(home, goal, links)
        for table in (LeaseRow, FetchClaimRow):
            self._run(delete(table).where(table.store_id == home))
        queued = update(JobRow).where(
            JobRow.status == JobStatus.QUEUED, JobRow.place == f"{old.uri} {old.host}".strip()
        )
        self._run(queued.values(place=f"{new.uri} {new.host}".strip()))
        theirs = StoreRow.host.in_(("", old.host)) if old.host else true()
        chained = (StoreRow.id == home) | ((StoreRow.moved_to == old.uri) & theirs)
        self._run(update(StoreRow).where(chained).values(moved_to=new.uri))
        self._run(update(StoreRow).where(StoreRow.id == goal).values(moved_to=None))

    def _lose(self, home: int, lost: Collection[Digest]) -> None:
        for batch in batches(sorted(lost)):
            numbers = select(ArtifactRow.id).where(ArtifactRow.hash_sha256.in_(batch))
            mine = (
                ArtifactLocationRow.store_id == home,
                ArtifactLocationRow.artifact_id.in_(numbers),
            )
            located = select(ArtifactLocationRow.id).where(*mine)
            self._run(delete(ArtifactProofRow).where(ArtifactProofRow.location_id.in_(located)))
            self._run(update(ArtifactLocationRow).where(*mine).values(state="missing"))

    def _merge(self, home: int, goal: int) -> None:
        """What both know stays as the new one knows it, with the time of its last use; the rest goes over."""
        twin = ArtifactLocationRow.__table__.alias("twin")
        used = (
            select(twin.c.last_accessed_at)
            .where(twin.c.store_id == home, twin.c.artifact_id == ArtifactLocationRow.artifact_id)
            .scalar_subquery()
        )
        both = select(twin.c.artifact_id).where(twin.c.store_id == home)
        mine = (ArtifactLocationRow.store_id == goal, ArtifactLocationRow.artifact_id.in_(both))
        self._run(update(ArtifactLocationRow).where(*mine).values(last_accessed_at=used))
        theirs = select(twin.c.artifact_id).where(twin.c.store_id == goal)
        here = ArtifactLocationRow.store_id == home
        self._run(delete(ArtifactLocationRow).where(here, ArtifactLocationRow.artifact_id.in_(theirs)))
        self._run(update(ArtifactLocationRow).where(here).values(store_id=goal))

    def _relink(self, home: int, goal: int, links: Links) -> None:
        found = select(SnapshotRow.id, SnapshotRow.path).where(SnapshotRow.store_id == home)
        for number, path in self._session.execute(found).all():
            ways = links.get(path, {})
            for way in sorted(set(ways.values())):
                for batch in batches(sorted(name for name, its in ways.items() if its == way)):
                    files = update(SnapshotFileRow).where(
                        SnapshotFileRow.snapshot_id == number, SnapshotFileRow.path.in_(batch)
                    )
                    self._run(files.values(link_mode=way))
        self._run(update(SnapshotRow).where(SnapshotRow.store_id == home).values(store_id=goal))

    def _run(self, statement: Executable) -> None:
        self._session.execute(statement.execution_options(synchronize_session=False))
