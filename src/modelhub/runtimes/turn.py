"""One request on its way through an engine: a thread that the engine blocks, and what it says."""

import queue
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from modelhub.errors import Cancelled, DeadlineExceeded, EngineError, ModelHubError
from modelhub.facts import Call

_TICK = 0.1
"""Seconds between two looks at the call while the engine is silent."""

_GRACE = 1.0
"""Seconds to wait for the engine to stop after nobody wants its answer. It stops before its next
token, or its next batch of a prompt, which on a slow machine may take longer: then the thread ends
by itself a little later.
"""

PATIENCE = 60.0
"""Seconds to wait for the engine to stop before its memory may be given back. Longer than the longest
batch of a prompt takes on a slow machine: whoever is not back by then is taken to be stuck.
"""

Say = Callable[[Any], bool]
"""Takes a piece of the answer, or `None` for a sign of life; true when the engine is to stop."""

Work = Callable[[Say], None]
"""Blocks until the answer is whole or `say` stops it."""


class Turn:
    """Lets the engine work in a thread of its own and gives out what it says.

    What the engine has said and nobody has read yet is at most one answer, which the context
    bounds: so a reader who pauses never holds the engine up, and the next request gets its turn.
    """

    def __init__(
        self,
        engine: str,
        work: Work,
        call: Call,
        done: Callable[[], None],
        abandon: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._work = work
        self._call = call
        self._done = done
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._error: ModelHubError | None = None
        self._finished = threading.Lock()
        self._whole = threading.Event()
        self._thread = _Worker(self._run, f"{engine}-{call.id[:8]}", abandon)
        self._at_exit: Any = None

    def start(self) -> None:
        """Begin. `done` is called once, when the engine is free again; `abandon` at the end of the program
        if it is not free then, and must be left as it is.
        """
        # Those of a program's end run from the youngest to the oldest: this one before the engine's own.
        self._at_exit = weakref.finalize(self, self._thread.end)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no thread left
            self._at_exit.detach()
            raise

    def pieces(self) -> Iterator[Any]:
        """What the engine says, as it says it.

        Raises:
            Cancelled, DeadlineExceeded: from the call, within a tenth of a second.
            ModelHubError: what `end` was given, or what the engine failed with.
        """
        while True:
            self._call.check()
            if self._thread.stopped and self._error is not None:
                raise self._error
            try:
                piece = self._said.get(timeout=_TICK)
            except queue.Empty:
                continue
            if piece is None:
                break
            yield piece
        if self._error is not None:
            raise self._error

    def wait(self) -> None:
        """Until the answer is whole. A reader who wants all of it need not be woken for each token:
        on a machine whose cores all compute, every such moment is one that the engine waits for.

        Raises:
            Cancelled, DeadlineExceeded: from the call, within a tenth of a second.
            ModelHubError: what `end` was given.
        """
        while not self._whole.wait(_TICK):
            self._call.check()
            if self._thread.stopped and self._error is not None:
                raise self._error

    def stop(self) -> None:
        """Nobody reads on: stop the engine, and give it a moment to do so."""
        self._thread.stopped = True
        if self._thread.ident is None:
            self._finish()
        self.join(_GRACE)

    def end(self, error: ModelHubError) -> None:
        """Stop the engine; the reader gets `error`."""
        self._error = error
        self._thread.stopped = True

    def join(self, timeout: float) -> bool:
        """Wait for the thread, unless this is it (a garbage collection may run anywhere): whether the
        engine is free.
        """
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def give_up(self) -> None:
        """Wait for the thread no more, at the end of the program either."""
        self._thread.patience = 0.0

    def _run(self) -> None:
        try:
            if not self._thread.stopped:
                self._work(self._hear)
        except ModelHubError as error:
            self._fail(error)
        except Exception as error:  # noqa: BLE001 - whatever the engine's library raises
            self._fail(EngineError(f"{self._engine} failed: {error}"), error)
        finally:
            self._finish()
            self._at_exit.detach()
            self._said.put(None)
            self._whole.set()

    def _fail(self, error: ModelHubError, cause: Exception | None = None) -> None:
        if self._error is None:  # else the reader has a reason already: it was told to end
            error.__cause__ = cause or error.__cause__
            self._error = error

    def _finish(self) -> None:
        if self._finished.acquire(blocking=False):
            self._done()

    def _hear(self, piece: Any) -> bool:
        if piece is not None:
            self._said.put(piece)
        return self._thread.stopped or _is_over(self._call)


class _Worker(threading.Thread):
    """A thread inside the engine. A daemon, since native code may never come back: the end of the program
    waits for it, but not for ever.
    """

    def __init__(self, work: Callable[[], None], name: str, abandon: Callable[[], None]) -> None:
        super().__init__(target=work, name=name, daemon=True)
        self.stopped = False
        self.patience = PATIENCE
        self._abandon = abandon

    def end(self) -> None:
        """At the end of the program: let the engine stop, or leave it alone."""
        self.stopped = True
        self.join(self.patience)
        if self.is_alive():
            self._abandon()


def _is_over(call: Call) -> bool:
    try:
        call.check()
    except (Cancelled, DeadlineExceeded):
        return True
    return False
