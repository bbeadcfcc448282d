"""Which ranges of a file to ask for next, and over how many connections. Pure: no threads, no clock."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

SHORTEST = 64 << 20
"""Bytes of a range, unless less is missing: an answer's head costs a round trip or three."""
LONGEST = 1 << 30
MOST_CONNECTIONS = 8
"""To one file."""


@dataclass(frozen=True, slots=True)
class Measures:
    """How finely a file is fetched: bytes of its ranges, and connections at `first` and at `most`."""

    shortest: int = SHORTEST
    longest: int = LONGEST
    first: int = 2
    most: int = MOST_CONNECTIONS


class Range(NamedTuple):
    """The bytes `start` to `end` (exclusive)."""

    start: int
    end: int


class Work:
    """What is still to be asked for of one file, from its start on, so that the hasher can follow."""

    def __init__(
        self, missing: Iterable[tuple[int, int]], *, shortest: int = SHORTEST, longest: int = LONGEST
    ) -> None:
        self._spans = deque(Range(start, end) for start, end in missing if end > start)
        self._shortest = shortest
        self._longest = longest

    @property
    def left(self) -> int:
        """Bytes."""
        return sum(span.end - span.start for span in self._spans)

    def take(self, connections: int) -> Range | None:
        """The next range, for one of so many connections; `None` when all is taken.

        Long at first and short at the end, so that all connections end at about the same time. A range
        begins where one of `missing` did or at a multiple of the shortest length.
        """
        if not self._spans:
            return None
        length = min(max(self.left // (2 * connections), self._shortest), self._longest)
        span = self._spans.popleft()
        end = min(span.end, (span.start + length) // self._shortest * self._shortest)
        if end <= span.start:
            end = span.end
        if end < span.end:
            self._spans.appendleft(Range(end, span.end))
        return Range(span.start, end)

    def take_all(self) -> Range | None:
        """One range from the first missing byte to the last, for a place that gives no ranges."""
        if not self._spans:
            return None
        whole = Range(min(self._spans).start, max(self._spans).end)
        self._spans.clear()
        return whole

    def put_back(self, span: Range) -> None:
        """A range that was taken and not asked for after all."""
        self._spans.appendleft(span)


class Pace:
    """How many connections a file gets: twice as many each time, as long as that made it faster.

    Begins with `first`. `every` is in seconds; `worth` is how much faster it must become.
    """

    def __init__(
        self, *, first: int = 1, most: int = MOST_CONNECTIONS, every: float = 1.0, worth: float = 1.15
    ) -> None:
        self.connections = first
        self._most = most
        self._every = every
        self._worth = worth
        self._before = 0.0
        self._from: tuple[int, float] | None = None
        self._settled = first >= most

    def look(self, moved: int, now: float) -> int:
        """The connections from here on, when `moved` bytes have come in all at `now` (seconds)."""
        if self._settled or not moved:
            return self.connections
        if self._from is None:
            self._from = moved, now
        elif (spent := now - self._from[1]) >= self._every:
            self._decide((moved - self._from[0]) / spent)
            self._from = moved, now
        return self.connections

    def _decide(self, rate: float) -> None:
        if rate < self._before * self._worth:
            self.connections //= 2
            self._settled = True
            return
        self._before = rate
        self.connections = min(self._most, 2 * self.connections)
        self._settled = self.connections == self._most
