"""Who fetches which bytes into a store: one at a time, while its claim holds. All times are the database's."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from modelhub.refs import Digest
from modelhub.registry.artifacts import StoreKey, store_id, store_ids
from modelhub.registry.registry import Registry
from modelhub.registry.statements import batches, insert, now
from modelhub.registry.tables import FetchClaimRow

__all__ = ["FetchClaim", "FetchClaims"]


class FetchClaim(NamedTuple):
    """Who has claimed some bytes, on which host; `over` when it counts no more."""

    digest: Digest
    owner: str
    host: str
    over: bool


class FetchClaims:
    """The claims of one store (`modelhub.jobs.download.ports.Claims`)."""

    def __init__(self, registry: Registry, place: StoreKey) -> None:
        self._registry = registry
        self._place = place

    def take(
        self,
        digests: Iterable[Digest],
        *,
        owner: str,
        host: str,
        seconds: float,
        dead: Collection[str] = (),
    ) -> frozenset[Digest]:
        """Claim those of `digests` that nobody else has claimed; those that are ours now.

        A claim that is over counts no more, nor one of a `dead` owner.
        """
        gained: set[Digest] = set()
        with self._registry.begin() as tx:
            home, moment = store_id(tx.session, self._place), now(tx.session)
            until = moment + timedelta(seconds=seconds)
            # Sorted, so that two processes that claim the same cannot block each other.
            for batch in batches(sorted(set(digests))):
                rows = [
                    {"store_id": home, "sha256": one, "owner": owner, "host": host, "expires_at": until}
                    for one in batch
                ]
                gained |= _upsert(tx.session, rows, owner, moment, dead)
        return frozenset(gained)

    def renew(self, owner: str, seconds: float) -> None:
        """All claims of `owner` hold for `seconds` from now; those that are over stay so."""
        with self._registry.begin() as tx:
            moment = now(tx.session)
            live = update(FetchClaimRow).where(
                FetchClaimRow.owner == owner, FetchClaimRow.expires_at > moment
            )
            tx.session.execute(live.values(expires_at=moment + timedelta(seconds=seconds)))

    def release(self, digests: Iterable[Digest], owner: str) -> None:
        """Give up claims, as far as they are still the owner's."""
        with self._registry.begin() as tx:
            home = store_id(tx.session, self._place)
            for batch in batches(sorted(set(digests))):
                mine = delete(FetchClaimRow).where(
                    FetchClaimRow.store_id == home,
                    FetchClaimRow.owner == owner,
                    FetchClaimRow.sha256.in_(batch),
                )
                tx.session.execute(mine.execution_options(synchronize_session=False))

    def everything(self) -> tuple[FetchClaim, ...]:
        """All claims on this store, by digest, also those that are over."""
        columns = (FetchClaimRow.sha256, FetchClaimRow.owner, FetchClaimRow.host)
        with self._registry.read() as tx:
            over = FetchClaimRow.expires_at <= now(tx.session)
            rows = select(*columns, over).where(FetchClaimRow.store_id.in_(store_ids(self._place)))
            found = tx.session.execute(rows.order_by(FetchClaimRow.sha256)).all()
        return tuple(
            FetchClaim(Digest(sha), owner, host, bool(late)) for sha, owner, host, late in found
        )

    def forget(self, dead: Collection[str] = ()) -> None:
        """Delete the claims on this store that count no more: those that are over, and of `dead` owners."""
        with self._registry.begin() as tx:
            over = FetchClaimRow.expires_at <= now(tx.session)
            gone = delete(FetchClaimRow).where(
                FetchClaimRow.store_id.in_(store_ids(self._place)),
                or_(over, FetchClaimRow.owner.in_(sorted(dead))),
            )
            tx.session.execute(gone.execution_options(synchronize_session=False))

    def owners(self, digests: Iterable[Digest]) -> dict[Digest, tuple[str, str]]:
        """Who has claimed each, and on which host; a claim that is over has nobody."""
        found: dict[Digest, tuple[str, str]] = {}
        with self._registry.read() as tx:
            moment = now(tx.session)
            home = store_ids(self._place)
            for batch in batches(sorted(set(digests))):
                rows = select(FetchClaimRow.sha256, FetchClaimRow.owner, FetchClaimRow.host).where(
                    FetchClaimRow.store_id.in_(home),
                    FetchClaimRow.sha256.in_(batch),
                    FetchClaimRow.expires_at > moment,
                )
                found |= {Digest(row.sha256): (row.owner, row.host) for row in tx.session.execute(rows)}
        return found


def _upsert(
    session: Session, rows: list[dict[str, object]], owner: str, moment: datetime, dead: Collection[str]
) -> set[Digest]:
    new = insert(session, FetchClaimRow)
    free = or_(
        FetchClaimRow.owner == owner,
        FetchClaimRow.expires_at <= moment,
        FetchClaimRow.owner.in_(sorted(dead)),
    )
    kept = ("owner", "host", "expires_at")
    claimed = new.values(rows).on_conflict_do_update(
        index_elements=["store_id", "sha256"],
        set_={name: new.excluded[name] for name in kept},
        where=free,
    )
    return {Digest(one) for one in session.scalars(claimed.returning(FetchClaimRow.sha256))}
