"""Keeps the rows of loaded models alive, and buries those of others that are not."""

import logging
import threading
from collections.abc import Callable, Mapping

from modelhub.errors import HubClosed, RegistryError
from modelhub.facts import InstanceStatus
from modelhub.runtimes.ports import InstanceLedger

log = logging.getLogger(__name__)

BEAT_SECONDS = 10.0
LEASE_SECONDS = 30.0
"""Three beats: one that fails is not the end."""


class Heart:
    """Beats in a thread of its own, from the first model that is loaded until `stop`.

    `look` gives what is loaded, by number. A beat that fails is logged; the next one tries again.
    """

    def __init__(self, ledger: InstanceLedger, look: Callable[[], Mapping[int, InstanceStatus]]) -> None:
        self._ledger = ledger
        self._look = look
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin, unless it beats already."""
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="instances", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Beat no more. Safe to call twice."""
        self._stopped.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(BEAT_SECONDS):
            try:
                self.beat()
            except (RegistryError, HubClosed) as error:
                log.warning("instance_beat_failed", extra={"error_type": error.code})
            except Exception:  # an engine that fails as it is buried; the others' rows live on
                log.exception("instance_beat_failed")

    def beat(self) -> None:
        """Once."""
        states = self._look()
        if states:
            self._ledger.beat(states, LEASE_SECONDS)
        self._ledger.reap()
