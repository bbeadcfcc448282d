"""Keeps a job's lease while its work runs, however long a step is silent."""

import logging
import threading
import time
from types import TracebackType
from typing import Self

from modelhub.errors import Cancelled, HubClosed, RegistryError
from modelhub.facts import Progress
from modelhub.registry import Registry, Transaction

log = logging.getLogger(__name__)

LEASE_SECONDS = 30.0
"""How long a job is safe without a beat: longer than an engine's load may hold the interpreter."""

BEAT_SECONDS = 1.0


class TakenOver(Exception):
    """Another process has the job: our lease ran out. Never leaves this room."""


class Heart:
    """Beats in a thread of its own from `with` to its end.

    `last` is the newest progress, which each beat writes down. One failed beat is not the end: the
    lease holds for a while yet.
    """

    def __init__(self, registry: Registry, job_id: int, owner: str) -> None:
        self.last = Progress(stage="", done=0)
        self._registry = registry
        self._job_id = job_id
        self._owner = owner
        self._ended = threading.Event()
        self._cancelled = False
        self._lost = False
        self._thread = threading.Thread(target=self._beat, name=f"job-{job_id}", daemon=True)

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
        if self._lost:
            raise TakenOver
        if self._cancelled:
            raise Cancelled(f"job {self._job_id} was cancelled", by_request=True)

    def write(self, tx: Transaction) -> None:
        """One beat: renew the lease, write the progress down, learn whether to stop."""
        last = self.last
        stop = tx.jobs.beat(
            self._job_id,
            self._owner,
            done=last.done,
            total=last.total,
            unit=last.unit,
            stage=last.stage,
            lease=LEASE_SECONDS,
        )
        self._lost = stop is None
        self._cancelled = bool(stop)

    def _beat(self) -> None:
        good_until = time.monotonic() + LEASE_SECONDS
        while not (self._ended.wait(BEAT_SECONDS) or self._lost or self._cancelled):
            began = time.monotonic()
            try:
                with self._registry.begin() as tx:
                    self.write(tx)
            except RegistryError as error:
                log.warning("job_beat_failed", extra={"job_id": self._job_id, "error_type": error.code})
                self._lost = time.monotonic() > good_until
            except HubClosed:
                self._cancelled = True
            else:
                good_until = began + LEASE_SECONDS
