"""The calls that a Hub is serving, so that closing it can stop them."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from modelhub.errors import Cancelled, HubClosed
from modelhub.facts import Call

PATIENCE = 10.0
"""Seconds that `close` waits for calls that were told to stop."""


class Calls:
    """Calls under way. Safe to use from several threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[Call] = set()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether no more calls are taken."""
        return self._closed

    @contextmanager
    def serve(self, timeout: float | None = None) -> Iterator[Call]:
        """A call from its first to its last moment.

        Raises:
            HubClosed: before it, or when the Hub is closed during it.
        """
        call = Call(timeout=timeout)
        with self._changed:
            if self._closed:
                raise _closed()
            self._running.add(call)
        try:
            yield call
        except Cancelled as error:
            if self._closed:
                raise _closed() from error
            raise
        finally:
            with self._changed:
                self._running.discard(call)
                self._changed.notify_all()

    def close(self) -> bool:
        """Tell every call to stop, and wait for them a while; whether this was the first time."""
        with self._changed:
            first, self._closed = not self._closed, True
            for call in self._running:
                call.cancel()
            until = time.monotonic() + PATIENCE
            while self._running and self._changed.wait(max(0.0, until - time.monotonic())):
                pass
        return first


def _closed() -> HubClosed:
    return HubClosed("this Hub is closed", hint="Make a new one.")
