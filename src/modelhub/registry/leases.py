"""Leases: while one holds, no purge takes the repository, and no collection the bytes, that it names.

All times are the database's. Who takes a lease on bytes *changes* the row of their location, and whoever would
collect them locks the bytes before it looks for leases: so in any order one of the two sees the other. A lease
that only locked the row would be overlooked by a collector on PostgreSQL that waited for the lock and went on
with what it had seen before.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from modelhub.errors import RepositoryNotFound
from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, is_store, known_artifacts, store_id
from modelhub.registry.statements import batches, insert, now
from modelhub.registry.tables import (
    ArtifactLocationRow,
    ArtifactRow,
    LeaseArtifactRow,
    LeaseRepoRow,
    LeaseRow,
    RepoRow,
    StoreRow,
)

__all__ = ["Leases", "Owner"]

HOUR = timedelta(hours=1)
"""How exactly it is known when bytes were used last."""


class Owner(NamedTuple):
    """Who has a lease: a process with a mark of its own (`host:pid:mark`), its host, and which boot of it."""

    lease: int
    owner: str
    host: str
    boot_id: str | None


class Leases:
    """Who needs a repository, or bytes of a store, and until when."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def take(
        self,
        record_id: int | None,
        *,
        store: StoreKey,
        owner: str,
        host: str,
        purpose: str,
        seconds: float,
        boot_id: str | None = None,
        digests: Iterable[Digest] = (),
    ) -> int:
        """Hold a repository, and what the store has of `digests`, as `owner` of `host` for `seconds`.

        Gives the lease's number. `boot_id` says which boot of the host the owner belongs to.

        Raises:
            RepositoryNotFound: when it was purged since it was found.
        """
        if record_id is not None:
            self._lock_repo(record_id)
        until = now(self._session) + timedelta(seconds=seconds)
        home = store_id(self._session, store)
        lease = LeaseRow(
            store_id=home,
            owner=owner,
            host=host,
            boot_id=boot_id,
            purpose=purpose,
            expires_at=until,
        )
        self._session.add(lease)
        self._session.flush()
        if record_id is not None:
            self._session.add(LeaseRepoRow(lease_id=lease.id, model_repo_id=record_id))
            self._session.flush()
        self._hold(lease.id, home, digests)
        return lease.id

    def add(self, number: int, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Let a lease hold these bytes too: those of them that are there. The others must be fetched first."""
        home = self._session.scalar(select(LeaseRow.store_id).where(LeaseRow.id == number))
        return frozenset() if home is None else self._hold(number, home, digests)

    def _lock_repo(self, record_id: int) -> None:
        # Locked, so that a purge in the same moment either sees the lease or is seen.
        found = select(RepoRow.id).where(RepoRow.id == record_id)
        if self._session.scalar(found.with_for_update(key_share=True, read=True)) is None:
            raise RepositoryNotFound(
                "the repository was purged meanwhile", hint="Ask for it again.", field="model"
            )

    def _hold(self, lease: int, home: int, digests: Iterable[Digest]) -> frozenset[Digest]:
        held: set[Digest] = set()
        moment = now(self._session)
        # By hash, as everybody does who takes or collects bytes: so no two can block each other.
        for batch in batches(sorted(set(digests))):
            known = known_artifacts(self._session, batch)
            there = (
                select(ArtifactLocationRow.id)
                .join(ArtifactRow)
                .where(
                    ArtifactLocationRow.store_id == home,
                    ArtifactLocationRow.artifact_id.in_(known.values()),
                    ArtifactLocationRow.state == "present",
                )
            )
            ids = self._session.scalars(there.order_by(ArtifactRow.hash_sha256).with_for_update()).all()
            touched = (
                update(ArtifactLocationRow)
                .where(ArtifactLocationRow.id.in_(ids), ArtifactLocationRow.state == "present")
                .values(last_accessed_at=moment)
                .returning(ArtifactLocationRow.artifact_id)
                .execution_options(synchronize_session=False)
            )
            mine = set(self._session.scalars(touched))
            if mine:
                new = insert(self._session, LeaseArtifactRow).on_conflict_do_nothing()
                rows = [{"lease_id": lease, "artifact_id": number} for number in sorted(mine)]
                self._session.execute(new, rows)
            held |= {digest for digest, number in known.items() if number in mine}
        return frozenset(held)

    def renew(self, number: int, seconds: float) -> None:
        """Hold it for `seconds` from now."""
        until = now(self._session) + timedelta(seconds=seconds)
        self._session.execute(update(LeaseRow).where(LeaseRow.id == number).values(expires_at=until))

    def release(self, number: int) -> None:
        """It is not needed any more. What it held was used until now."""
        held = select(LeaseArtifactRow.artifact_id).where(LeaseArtifactRow.lease_id == number)
        home = select(LeaseRow.store_id).where(LeaseRow.id == number).scalar_subquery()
        moment = now(self._session)
        used = update(ArtifactLocationRow).where(
            ArtifactLocationRow.store_id == home,
            ArtifactLocationRow.artifact_id.in_(held),
            ArtifactLocationRow.last_accessed_at < moment - HOUR,
        )
        self._session.execute(
            used.values(last_accessed_at=moment).execution_options(synchronize_session=False)
        )
        self._session.execute(delete(LeaseRow).where(LeaseRow.id == number))

    def owners(self) -> tuple[Owner, ...]:
        """The leases with their owners, also those that are over."""
        found = select(LeaseRow.id, LeaseRow.owner, LeaseRow.host, LeaseRow.boot_id)
        return tuple(Owner(*row) for row in self._session.execute(found.order_by(LeaseRow.id)))

    def held(self, store: StoreKey) -> frozenset[Digest]:
        """The bytes that leases on this store hold now."""
        found = (
            select(ArtifactRow.hash_sha256)
            .join(LeaseArtifactRow, LeaseArtifactRow.artifact_id == ArtifactRow.id)
            .join(LeaseRow, LeaseArtifactRow.lease_id == LeaseRow.id)
            .join(StoreRow, LeaseRow.store_id == StoreRow.id)
            .where(
                is_store(store),
                LeaseRow.expires_at >= now(self._session),
            )
        )
        return frozenset(map(Digest, self._session.scalars(found)))

    def expired(self) -> frozenset[int]:
        """The numbers of those that `expire` forgets."""
        over = select(LeaseRow.id).where(LeaseRow.expires_at < self._long_ago())
        return frozenset(self._session.scalars(over))

    def expire(self) -> None:
        """Forget those that were over an hour ago. Until then whoever only stood still, as on a laptop that was
        closed, has its lease back with the next beat.
        """
        self._session.execute(delete(LeaseRow).where(LeaseRow.expires_at < self._long_ago()))

    def _long_ago(self) -> datetime:
        return now(self._session) - HOUR
