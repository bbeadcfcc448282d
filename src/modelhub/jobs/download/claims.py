"""The claims of one download: taken for all its large files at once, renewed while it goes on."""

import logging
import socket
import threading
from collections.abc import Collection, Iterable, Mapping
from types import TracebackType
from typing import Self

from modelhub.errors import HubClosed, RegistryError
from modelhub.jobs.download.ports import Claims
from modelhub.jobs.owners import is_dead, me
from modelhub.refs import Digest

log = logging.getLogger(__name__)

CLAIM_SECONDS = 8.0
"""How long a claim outlives whoever stopped renewing it. With the asking in between: below ten seconds."""
BEAT_SECONDS = 2.0


class NoClaims:
    """For a store that nobody shares: all is free, always."""

    def take(
        self,
        digests: Iterable[Digest],
        *,
        owner: str,  # noqa: ARG002 - nobody else is there
        host: str,  # noqa: ARG002
        seconds: float,  # noqa: ARG002
        dead: Collection[str] = (),  # noqa: ARG002
    ) -> frozenset[Digest]:
        return frozenset(digests)

    def renew(self, owner: str, seconds: float) -> None:
        """Nothing runs out."""

    def release(self, digests: Iterable[Digest], owner: str) -> None:
        """Nothing is held."""

    def owners(self, digests: Iterable[Digest]) -> Mapping[Digest, tuple[str, str]]:  # noqa: ARG002
        return {}


class Keeper:
    """Claims bytes, and gives up at the end what it still has."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims
        self._owner = me()
        self._held: set[Digest] = set()
        self._held_by_others = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def take(self, digests: Collection[Digest]) -> frozenset[Digest]:
        """Those of `digests` that are ours to fetch now."""
        if not digests:
            return frozenset()
        owners = self._claims.owners(digests) if self._held_by_others else {}
        dead = {owner for owner, _ in owners.values() if is_dead(owner)}
        gained = self._claims.take(
            digests, owner=self._owner, host=socket.gethostname(), seconds=CLAIM_SECONDS, dead=dead
        )
        self._held_by_others = len(gained) < len(digests)
        with self._lock:
            self._held |= gained
        if gained and self._thread is None:
            self._thread = threading.Thread(target=self._beat, name="fetch-claims", daemon=True)
            self._thread.start()
        return gained

    def hosts(self, digests: Collection[Digest]) -> tuple[str, ...]:
        """Where those work who have `digests`."""
        return tuple(sorted({host for _, host in self._claims.owners(digests).values()}))

    def release(self, digests: Iterable[Digest]) -> None:
        """They are in the store."""
        with self._lock:
            mine = self._held.intersection(digests)
            self._held -= mine
        if mine:
            self._claims.release(mine, self._owner)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        if self._held:
            try:
                self._claims.release(self._held, self._owner)
            except (RegistryError, HubClosed) as problem:
                # They run out by themselves.
                log.warning("claims_not_released", extra={"error_type": problem.code})

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            try:
                self._claims.renew(self._owner, CLAIM_SECONDS)
            except (RegistryError, HubClosed) as error:
                # They hold for some beats more. Whoever takes one over then fetches for a second time,
                # and harms nothing.
                log.warning("claims_not_renewed", extra={"error_type": error.code})
