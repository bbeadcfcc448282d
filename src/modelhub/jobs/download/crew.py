"""Threads that do one thing together."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from modelhub.errors import Cancelled

Waker = Callable[[], None]


class Crew:
    """The first error of a thread ends them all; `stop` does too, from outside."""

    def __init__(self) -> None:
        self.failure: BaseException | None = None
        self._change = threading.Condition()
        self._stopped = False
        self._wakers: list[Waker] = []

    def start(self, work: Callable[[], None], name: str) -> threading.Thread:
        """Do `work` in a thread of its own."""
        thread = threading.Thread(target=self._guard, args=(work,), name=name, daemon=True)
        thread.start()
        return thread

    def check(self) -> None:
        """Raise when it is over.

        Raises:
            Cancelled
        """
        if self._stopped:
            raise Cancelled("the download was stopped")

    def stop(self) -> None:
        """End all waits, now and from here on."""
        with self._change:
            self._stopped = True
            wakers = list(self._wakers)
            self._change.notify_all()
        for wake in wakers:
            wake()

    @contextmanager
    def waking(self, wake: Waker) -> Iterator[None]:
        """Call `wake` when it is over, within the block; raises as `check`."""
        with self._change:
            self.check()
            self._wakers.append(wake)
        try:
            yield
        finally:
            with self._change:
                self._wakers.remove(wake)

    def nap(self, seconds: float) -> None:
        """Sleep so long, or until something changes."""
        with self._change:
            if not self._stopped:
                self._change.wait(seconds)

    def nudge(self) -> None:
        """Wake those who nap."""
        with self._change:
            self._change.notify_all()

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised by who leads
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        with self._change:
            first = not self._stopped
            if first:
                self.failure = error
        if first:
            self.stop()


class Gate:
    """What may be entered until it is closed; `close` waits for those inside.

    So nobody uses a thing after its owner has given it back, however long they wait for something else.
    """

    def __init__(self) -> None:
        self._change = threading.Condition()
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._change:
            if self._closed:
                raise Cancelled("the download was stopped")
            self._inside += 1

    def __exit__(self, *exc: object) -> None:
        with self._change:
            self._inside -= 1
            self._change.notify_all()

    def close(self) -> None:
        """Let nobody in any more, and wait until all are out. Safe to call twice."""
        with self._change:
            self._closed = True
            while self._inside:
                self._change.wait()
