"""Keeps repositories from being purged while something is done with them."""

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from modelhub.errors import HubClosed, RegistryError
from modelhub.facts import RepoRecord
from modelhub.jobs.engine import is_dead
from modelhub.registry import Registry, StoreKey

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
BEAT_SECONDS = 10.0


def _me() -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"


@dataclass(frozen=True, slots=True)
class Holds:
    """The leases of one Hub on repositories. Each is renewed as long as it is held."""

    registry: Registry
    place: StoreKey
    owner: str = field(default_factory=_me)

    @contextmanager
    def hold(self, record: RepoRecord, purpose: str) -> Iterator[None]:
        """Let no purge take the repository until the end of the block; `purpose` says what is done.

        Raises:
            RepositoryNotFound: when one has.
        """
        with self.registry.begin() as tx:
            number = tx.leases.take(
                record.id,
                store=self.place,
                owner=self.owner,
                host=socket.gethostname(),
                purpose=purpose,
                seconds=LEASE_SECONDS,
            )
        ended = threading.Event()
        beats = threading.Thread(
            target=self._beat, args=(number, ended), name=f"lease-{number}", daemon=True
        )
        beats.start()
        try:
            yield
        finally:
            ended.set()
            beats.join()
            self._release(number)

    def reap(self) -> None:
        """Forget the leases of processes of this host that are gone, and those that are over."""
        with self.registry.read() as tx:
            owners = tx.leases.owners()
        dead = [number for number, owner in owners if is_dead(owner)]
        if owners:
            with self.registry.begin() as tx:
                for number in dead:
                    tx.leases.release(number)
                tx.leases.expire()

    def _beat(self, number: int, ended: threading.Event) -> None:
        while not ended.wait(BEAT_SECONDS):
            try:
                with self.registry.begin() as tx:
                    tx.leases.renew(number, LEASE_SECONDS)
            except (RegistryError, HubClosed) as error:
                # The lease holds for two more beats.
                log.warning("lease_not_renewed", extra={"error_type": error.code})

    def _release(self, number: int) -> None:
        try:
            with self.registry.begin() as tx:
                tx.leases.release(number)
        except (RegistryError, HubClosed) as error:
            # What was done stays done; the lease runs out by itself.
            log.warning("lease_not_renewed", extra={"error_type": error.code})
