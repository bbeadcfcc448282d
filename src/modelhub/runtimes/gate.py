"""A door that lets only so many through at a time, in the order in which they came."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from modelhub.errors import ModelHubError
from modelhub.facts import Call

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the call, for whoever waits."""

PATIENCE = 10.0
"""Seconds after which a wait is worth a line in the log."""


class Gate:
    """At most `size` callers inside; the others wait first come, first served.

    Re-entrant on purpose: a garbage collection inside `enter` may finish an abandoned stream,
    which calls `leave`.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._changed = threading.Condition(threading.RLock())
        self._queue: deque[object] = deque()
        self._inside = 0
        self._refuse: Callable[[], ModelHubError] | None = None

    @property
    def inside(self) -> int:
        """How many are inside."""
        return self._inside

    @property
    def waiting(self) -> int:
        """How many want to come in."""
        return len(self._queue)

    def enter(self, call: Call) -> None:
        """Come in, or wait for it.

        Raises:
            Cancelled, DeadlineExceeded: from the call, while it waits.
            ModelHubError: the one that `close` was told to make.
        """
        call.check()
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            try:
                self._wait(ticket, call)
                self._inside += 1
            finally:
                self._queue.remove(ticket)
                self._changed.notify_all()

    def _wait(self, ticket: object, call: Call) -> None:
        since, patient = time.monotonic(), True
        while True:
            if self._refuse is not None:
                raise self._refuse()
            if self._queue[0] is ticket and self._inside < self.size:
                return
            self._changed.wait(TICK)
            call.check()
            if patient and time.monotonic() - since > PATIENCE:
                patient = False
                log.warning(
                    "instance_waiting",
                    extra={"request_id": call.id, "inside": self._inside},
                )

    def leave(self) -> None:
        """Make room for the next."""
        with self._changed:
            self._inside -= 1
            self._changed.notify_all()

    def close(self, refuse: Callable[[], ModelHubError]) -> None:
        """Nobody comes in any more: what `refuse` makes is raised for those who wait or will."""
        with self._changed:
            self._refuse = refuse
            self._changed.notify_all()
