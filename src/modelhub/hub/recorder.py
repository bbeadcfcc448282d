"""Writes calls into the registry, off their way: in batches, by a thread of its own."""

import logging
import threading
from collections import deque
from collections.abc import Sequence

from modelhub.errors import DatabaseUnavailable, HubClosed, RegistryError
from modelhub.facts import CallRecord
from modelhub.registry import Registry

log = logging.getLogger(__name__)

BATCH = 500
PAUSE = 0.5
"""Seconds in which calls gather before they are written."""

MOST = 50_000
"""Calls that wait at most, when the database is away; more are lost, and counted."""


class Recorder:
    """The log of one Hub's calls. After `close` it is complete, but for what the database refuses to hold.

    `add` neither waits nor fails, and may be called by the garbage collector.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._waiting: deque[CallRecord] = deque()
        self._lost = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Write what comes from here on. Not for the garbage collector."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="calls", daemon=True)
                self._thread.start()

    def add(self, record: CallRecord) -> None:
        """A call has ended."""
        if len(self._waiting) < MOST:
            self._waiting.append(record)
        else:
            self._lost += 1

    def flush(self) -> None:
        """Write what waits now; while the database is away it waits on."""
        with self._writing:
            try:
                while count := min(BATCH, len(self._waiting)):
                    # By number: `add` may come in between, and only a flush takes any away.
                    self._write([self._waiting[at] for at in range(count)])
            except (DatabaseUnavailable, HubClosed) as error:
                fields = {"count": len(self._waiting), "error_type": error.code}
                log.warning("calls_not_recorded", extra=fields)

    def _write(self, batch: Sequence[CallRecord]) -> None:
        """Write the first that wait; of those that the database refuses together, each by itself."""
        try:
            with self._registry.begin() as tx:
                tx.calls.add(batch)
        except DatabaseUnavailable:
            raise
        except RegistryError as error:
            if len(batch) > 1:
                for record in batch:
                    self._write([record])
                return
            _tell_of(batch[0], error)
        for _ in batch:
            self._waiting.popleft()

    def close(self) -> None:
        """Write all that is left. Safe to call twice."""
        self._stopped.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()
        self.flush()
        if lost := self._lost + len(self._waiting):
            log.warning("calls_lost", extra={"count": lost})
            self._waiting.clear()
            self._lost = 0

    def _run(self) -> None:
        while not self._stopped.wait(PAUSE):
            try:
                self.flush()
            except Exception:  # the next round tries again
                log.exception("calls_not_recorded")


def _tell_of(refused: CallRecord, error: RegistryError) -> None:
    fields = {"request_id": refused.request_id, "error_type": error.code, "reason": error.message}
    log.error("call_refused", extra=fields)
