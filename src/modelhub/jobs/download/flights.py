"""What the threads of this process fetch now, so that each thing is fetched once."""

import threading
from collections.abc import Iterable


class Flights:
    """Names of what is under way. Safe to use from several threads."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, names: Iterable[str]) -> frozenset[str]:
        """Those of `names` that nobody fetched until now; the others are under way."""
        with self._lock:
            mine = frozenset(names) - self._names
            self._names |= mine
            return mine

    def end(self, names: Iterable[str]) -> None:
        """They are here, or nobody fetches them any more."""
        with self._lock:
            self._names.difference_update(names)
