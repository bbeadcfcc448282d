"""Keeps a job's lease while its work runs, however long a step is silent."""

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from modelhub.errors import Cancelled, HubClosed, RegistryError
from modelhub.facts import Job, JobKind, Progress
from modelhub.registry import Registry, Transaction

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""How long a job is safe without a beat: longer than an engine's load may hold the interpreter."""

BEAT_SECONDS = 15.0
"""The lease is written at least so often."""

FETCH_LEASE_SECONDS = 8.0
"""The same for a fetch, of which another host that waits cannot see that its process has died: with the
looking in between, it goes on within ten seconds. No engine is loaded in there."""

FETCH_BEAT_SECONDS = 2.0
"""While bytes move, their progress is written every second anyway, and the lease with it."""

LOOK_SECONDS = 1.0
"""So often it looks whether to stop, which writes nothing, and writes progress down that is new."""


_FETCHES = frozenset([JobKind.PULL, JobKind.ARTIFACT_DOWNLOAD])


class Lease(NamedTuple):
    """For how many seconds a job is its worker's, and how often that is written anew at least."""

    seconds: float
    beat: float


def lease_of(kind: str) -> Lease:
    """The lease of jobs of a kind."""
    if kind in _FETCHES:
        return Lease(FETCH_LEASE_SECONDS, FETCH_BEAT_SECONDS)
    return Lease(LEASE_SECONDS, BEAT_SECONDS)


class TakenOver(Exception):
    """Another process has the job: our lease ran out. Never leaves this room."""


class Heart:
    """Beats in a thread of its own from `with` to its end.

    `last` is the newest progress, which the next beat writes down. `on_stop` is called once, in that
    thread, when the job was cancelled or lost. One failed beat is not the end: the lease holds for a while
    yet.
    """

    def __init__(self, registry: Registry, job: Job, on_stop: Callable[[], None] = lambda: None) -> None:
        self.last = self._written = Progress(stage="", done=0)
        self.cancelled = False
        self.lost = False
        self._registry = registry
        self._job_id = job.id
        self._owner = str(job.owner)
        self._lease = lease_of(job.kind)
        self._on_stop = on_stop
        self._ended = threading.Event()
        self._beaten = time.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"job-{job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what the last beat learnt.

        Raises:
            Cancelled, TakenOver
        """
        if self.lost:
            raise TakenOver
        if self.cancelled:
            raise Cancelled(f"job {self._job_id} was cancelled", by_request=True)

    def write(self, tx: Transaction) -> None:
        """One beat: renew the lease, write the progress down, learn whether to stop.

        The job's row is locked until the transaction ends.
        """
        last, began = self.last, time.monotonic()
        stop = tx.jobs.beat(
            self._job_id,
            self._owner,
            done=last.done,
            total=last.total,
            unit=last.unit,
            stage=last.stage,
            lease=self._lease.seconds,
        )
        self._learn(stop)
        self._written, self._beaten = last, began

    def _run(self) -> None:
        while not (self._ended.wait(LOOK_SECONDS) or self.lost or self.cancelled):
            self._beat()
        if self.lost or self.cancelled:
            self._on_stop()

    def _beat(self) -> None:
        try:
            if self.last is not self._written or time.monotonic() - self._beaten >= self._lease.beat:
                with self._registry.begin() as tx:
                    self.write(tx)
            else:
                with self._registry.read() as tx:
                    self._learn(tx.jobs.is_stopped(self._job_id, self._owner))
        except RegistryError as error:
            log.warning("job_beat_failed", extra={"job_id": self._job_id, "error_type": error.code})
            self.lost = time.monotonic() - self._beaten > self._lease.seconds
        except HubClosed:
            self.cancelled = True

    def _learn(self, stop: bool | None) -> None:
        self.lost = self.lost or stop is None
        self.cancelled = self.cancelled or bool(stop)
