"""How far a download has come."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Tally:
    """What one attempt at a file has counted. Safe to use from several threads."""

    def __init__(self, meter: "Meter") -> None:
        self._meter = meter
        self.done = 0

    def add(self, count: int) -> None:
        """So many bytes more are here; fewer, where something is fetched again."""
        self._meter.add(self, count)


class Meter:
    """Bytes that are here, of those that are wanted; what was thrown away does not count."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._done = 0
        self.item = ""

    @property
    def done(self) -> int:
        return self._done

    def add(self, tally: Tally, count: int) -> None:
        """See `Tally.add`."""
        with self._lock:
            tally.done += count
            self._done += count

    @contextmanager
    def attempt(self, item: str) -> Iterator[Tally]:
        """Count an attempt at `item`; nothing of it when it fails."""
        self.item = item
        tally = Tally(self)
        try:
            yield tally
        except BaseException:
            tally.add(-tally.done)
            raise
