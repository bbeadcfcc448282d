"""What a download asks of whoever remembers for it."""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from modelhub.refs import Digest


class Claims(Protocol):
    """Who fetches which bytes into one store, known to all hosts that use it; one clock for all.

    Every method is one transaction; all are safe to call from several threads.
    """

    def take(
        self,
        digests: Iterable[Digest],
        *,
        owner: str,
        host: str,
        seconds: float,
        dead: Collection[str] = (),
    ) -> frozenset[Digest]:
        """Claim what nobody else has claimed: those that are ours now. Claims of `dead` owners are over."""
        ...

    def renew(self, owner: str, seconds: float) -> None:
        """All claims of `owner` that are not over hold for `seconds` from now."""
        ...

    def release(self, digests: Iterable[Digest], owner: str) -> None:
        """Give up claims, as far as they are the owner's."""
        ...

    def owners(self, digests: Iterable[Digest]) -> Mapping[Digest, tuple[str, str]]:
        """Who has claimed each, and on which host; a claim that is over has nobody."""
        ...
