"""What dead work has left in a store and its database: claims, leases, files in `tmp`."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.facts import FaultKind, StoreFault
from modelhub.jobs import Holds
from modelhub.jobs.owners import is_dead
from modelhub.registry import FetchClaim, FetchClaims
from modelhub.store import Store
from modelhub.store.layout import TMP, blob_path


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Tells what reaping and sweeping would take, and lets them take it."""

    claims: FetchClaims
    holds: Holds
    store: Store

    def check(self, *, repair: bool) -> tuple[StoreFault, ...]:
        """All that is left; with `repair` it is taken, and what is still there is `left`."""
        before = tuple(self._look())
        if not repair:
            return before
        self.holds.reap()
        self.claims.forget({one.owner for one in self.claims.everything() if is_dead(one.owner)})
        self.store.sweep()
        after = {(one.kind, one.path) for one in self._look()}
        return tuple(
            one
            if (one.kind, one.path) in after
            else one.model_copy(update={"done": "removed", "left": False})
            for one in before
        )

    def _look(self) -> Iterator[StoreFault]:
        for claim in self.claims.everything():
            if why := _ended(claim):
                yield StoreFault(kind=FaultKind.CLAIM, path=blob_path(claim.digest), reason=why)
        for lease, why in self.holds.ended():
            yield StoreFault(kind=FaultKind.LEASE, path=lease.owner, reason=why)
        for name in self.store.left_over():
            yield StoreFault(
                kind=FaultKind.TEMP, path=f"{TMP}/{name}", reason="nobody writes it any more"
            )


def _ended(claim: FetchClaim) -> str | None:
    if is_dead(claim.owner):
        return f"claimed by {claim.owner}, which is gone"
    return f"the claim of {claim.owner} on {claim.host} is over" if claim.over else None
