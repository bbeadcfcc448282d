"""Ends the waits of several threads at once, those within the system's calls too."""

import threading
from typing import Protocol

from modelhub.errors import Cancelled


class Abortable(Protocol):
    """Something whose waits can be ended from another thread."""

    def abort(self) -> None: ...


class Stop:
    """A flag that also wakes: who sleeps on it, and who waits for a connection that it knows."""

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._waiting: set[Abortable] = set()

    @property
    def is_set(self) -> bool:
        return self._set.is_set()

    def set(self) -> None:
        """End every wait, now and from here on."""
        self._set.set()
        with self._lock:
            for each in self._waiting:
                each.abort()

    def check(self) -> None:
        """Raise when it is over.

        Raises:
            Cancelled
        """
        if self._set.is_set():
            raise Cancelled("the transfer was stopped")

    def sleep(self, seconds: float) -> None:
        """Wait so long, unless it is over before; raises as `check`."""
        self._set.wait(seconds)
        self.check()

    def add(self, one: Abortable) -> None:
        """Abort `one` when it is over; raises as `check` when it is already."""
        with self._lock:
            self.check()
            self._waiting.add(one)

    def discard(self, one: Abortable) -> None:
        """Forget `one`, which may not be known."""
        with self._lock:
            self._waiting.discard(one)
