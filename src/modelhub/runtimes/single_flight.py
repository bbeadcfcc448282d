"""Things that are made once, however many ask for them at the same time."""

import threading
import traceback
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from modelhub.errors import Cancelled, DeadlineExceeded, LoadFailed, ModelHubError, error_from_dict

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

TICK = 0.1
"""Seconds between two looks at the caller's deadline, for those who wait."""


class SingleFlight(Generic[K, V]):
    """What was made, by key. The first who asks makes it, in its own thread; the others wait.

    A failure reaches everybody who waits and is forgotten: the next who asks tries again. When
    the maker gave up for a reason of its own (it was cancelled, its time was over, Ctrl-C), one of
    those who wait takes over.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._flights: dict[K, _Flight[V]] = {}

    def get(self, key: K, make: Callable[[], V], check: Callable[[], None] = lambda: None) -> V:
        """The thing, made by `make` if nobody has it. `check` may raise while it waits."""
        while True:
            mine: _Flight[V] = _Flight()
            with self._lock:
                flight = self._flights.setdefault(key, mine)
            if flight is mine:
                return self._make(key, mine, make)
            flight.wait(check)
            if not flight.given_up:
                return flight.result()

    def _make(self, key: K, flight: "_Flight[V]", make: Callable[[], V]) -> V:
        try:
            value = make()
        except BaseException as error:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.fail(error)
            raise
        flight.land(value)
        return value

    def drop(self, key: K, value: V) -> bool:
        """Forget a thing that is no good any more; whether it was still the one of its key."""
        with self._lock:
            flight = self._flights.get(key)
            if flight is None or not flight.has_landed or flight.result() is not value:
                return False
            del self._flights[key]
            return True

    def peek(self, key: K) -> V | None:
        """The thing, if it is there."""
        with self._lock:
            flight = self._flights.get(key)
        return flight.result() if flight is not None and flight.has_landed else None

    def has(self, key: K) -> bool:
        """Whether it is there or being made."""
        with self._lock:
            return key in self._flights

    def landed(self) -> tuple[V, ...]:
        """What is there now."""
        with self._lock:
            flights = tuple(self._flights.values())
        return tuple(flight.result() for flight in flights if flight.has_landed)

    def take_all(self) -> Iterator[V]:
        """Forget everything and give it out; waits for what is being made."""
        while True:
            with self._lock:
                if not self._flights:
                    return
                flight = self._flights.pop(next(iter(self._flights)))
            flight.wait(lambda: None)
            if flight.has_landed:
                yield flight.result()


class _Flight(Generic[V]):
    def __init__(self) -> None:
        self._done = threading.Event()
        self._values: list[V] = []
        self._error: BaseException | None = None

    @property
    def has_landed(self) -> bool:
        return bool(self._values)

    @property
    def given_up(self) -> bool:
        """Whether the maker stopped for a reason that is not the thing's."""
        error = self._error
        return isinstance(error, Cancelled | DeadlineExceeded) or (
            error is not None and not isinstance(error, Exception)
        )

    def land(self, value: V) -> None:
        self._values.append(value)
        self._done.set()

    def fail(self, error: BaseException) -> None:
        _let_go(error)
        self._error = error
        self._done.set()

    def wait(self, check: Callable[[], None]) -> None:
        while not self._done.wait(TICK):
            check()

    def result(self) -> V:
        if self._error is not None:
            raise _again(self._error) from self._error
        return self._values[0]


def _again(error: BaseException) -> ModelHubError:
    """The same error, for another thread: an exception object belongs to the one that raises it."""
    if isinstance(error, ModelHubError):
        return error_from_dict(error.to_dict())
    return LoadFailed(f"it could not be loaded: {type(error).__name__}: {error}")


def _let_go(error: BaseException | None) -> None:
    """Empty the frames of an error's tracebacks, so that they do not keep a half-loaded model."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
