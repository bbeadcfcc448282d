"""Keeps repositories from being purged, and bytes from being collected, while something is done with them."""

import logging
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from modelhub.errors import HubClosed, RegistryError
from modelhub.facts import RepoRecord
from modelhub.jobs.owners import is_dead, me
from modelhub.refs import Digest
from modelhub.registry import Owner, Registry, StoreKey
from modelhub.runtimes.processes import process_mark

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
BEAT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Hold:
    """A lease that is ours."""

    registry: Registry
    number: int

    def add(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Hold these bytes too: those of them that are in the store now."""
        wanted = tuple(digests)
        if not wanted:
            return frozenset()
        with self.registry.begin() as tx:
            return tx.leases.add(self.number, wanted)


@dataclass(frozen=True, slots=True)
class Holds:
    """The leases of one Hub on repositories and bytes. Each is renewed as long as it is held."""

    registry: Registry
    place: StoreKey
    owner: str = field(default_factory=me)

    @contextmanager
    def hold(
        self, record: RepoRecord | None, purpose: str, digests: Iterable[Digest] = ()
    ) -> Iterator[Hold]:
        """Let no purge take the repository, and no collection what the store has of `digests`, until the end
        of the block; `purpose` says what is done.

        Raises:
            RepositoryNotFound: when a purge has taken it.
        """
        mine = process_mark()
        with self.registry.begin() as tx:
            number = tx.leases.take(
                None if record is None else record.id,
                store=self.place,
                owner=self.owner,
                host=mine.host,
                boot_id=mine.boot_id,
                purpose=purpose,
                seconds=LEASE_SECONDS,
                digests=digests,
            )
        ended = threading.Event()
        beats = threading.Thread(
            target=self._beat, args=(number, ended), name=f"lease-{number}", daemon=True
        )
        beats.start()
        try:
            yield Hold(self.registry, number)
        finally:
            ended.set()
            beats.join()
            self._release(number)

    def ended(self) -> tuple[tuple[Owner, str], ...]:
        """The leases that `reap` forgets, each with the reason."""
        with self.registry.read() as tx:
            owners, expired = tx.leases.owners(), tx.leases.expired()
        gone = "its process is gone"
        return tuple(
            (one, gone if _is_over(one) else "it was over an hour ago")
            for one in owners
            if one.lease in expired or _is_over(one)
        )

    def reap(self) -> None:
        """Forget the leases of processes of this host that are gone, and those that are over."""
        with self.registry.read() as tx:
            owners = tx.leases.owners()
        dead = [one.lease for one in owners if _is_over(one)]
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


def _is_over(lease: Owner) -> bool:
    """Whether its owner was a process of this host, which has ended or was before the host's last boot."""
    mine = process_mark()
    rebooted = lease.host == mine.host and bool(lease.boot_id) and lease.boot_id != mine.boot_id
    return rebooted or is_dead(lease.owner)
