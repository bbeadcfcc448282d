"""How much of the network modelhub takes: connections in all and to a host, and bytes a second."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import cache

from modelhub.sources.transport.address import Origin
from modelhub.sources.transport.stop import Stop

MAX_CONNECTIONS = 32
MAX_CONNECTIONS_PER_HOST = 16

_TICK = 0.1  # seconds
_PORTION = 0.25  # of a second: what is read at once under a cap, so that it flows evenly


class Limits:
    """Shared by everything that should keep to them together. Safe to use from several threads.

    `bandwidth` is in bytes a second, without a limit when `None`.
    """

    def __init__(
        self,
        connections: int = MAX_CONNECTIONS,
        per_host: int = MAX_CONNECTIONS_PER_HOST,
        bandwidth: int | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._per_host = per_host
        self._open: Counter[Origin] = Counter()
        self._freed = threading.Condition()
        self._bucket = None if bandwidth is None else Bucket(bandwidth, clock)

    def enter(self, origin: Origin, stop: Stop) -> None:
        """Wait for room for one more connection, and take it.

        Raises:
            Cancelled: when `stop` comes first.
        """
        with self._freed:
            while not self._has_room(origin):
                self._freed.wait(_TICK)
                stop.check()
            self._open[origin] += 1

    def leave(self, origin: Origin) -> None:
        """Give the room of a connection back."""
        with self._freed:
            self._open[origin] -= 1
            if not self._open[origin]:
                del self._open[origin]
            self._freed.notify_all()

    def portion(self, count: int) -> int:
        """How many of `count` bytes to read at once."""
        return count if self._bucket is None else min(count, self._bucket.portion)

    def spend(self, count: int, stop: Stop) -> None:
        """Wait until `count` bytes, which have been read, may have been."""
        if self._bucket is not None and (wait := self._bucket.spend(count)) > 0:
            stop.sleep(wait)

    def _has_room(self, origin: Origin) -> bool:
        return self._open.total() < self._connections and self._open[origin] < self._per_host


class Bucket:
    """A token bucket that goes into debt: who reads pays afterwards, by waiting."""

    def __init__(self, rate: int, clock: Callable[[], float]) -> None:
        self.portion = max(1, int(rate * _PORTION))
        self._rate = rate
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens = float(self.portion)
        self._at = clock()

    def spend(self, count: int) -> float:
        """Take `count` tokens; the seconds to wait until they are paid."""
        with self._lock:
            now = self._clock()
            earned = (now - self._at) * self._rate
            self._tokens = min(self._tokens + earned, float(self.portion)) - count
            self._at = now
            return max(0.0, -self._tokens / self._rate)


@cache
def shared_limits(connections: int | None, per_host: int | None, bandwidth: int | None) -> Limits:
    """The limits of this process with these numbers: Hubs that are set alike keep to them together."""
    return Limits(connections or MAX_CONNECTIONS, per_host or MAX_CONNECTIONS_PER_HOST, bandwidth)
