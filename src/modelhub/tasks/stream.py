"""A stream of pieces that stops its engine when nobody reads on."""

import sys
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from modelhub.errors import Cancelled

C = TypeVar("C")


class Stream(Iterator[C], Generic[C]):
    """Pieces of an answer, in order.

    Leave the loop early and the engine stops: at once with `close()` or a `with` block, else as
    soon as the stream is garbage. An error of the engine is raised where it is read. Threads that
    read one stream take turns; `close()` may come from any thread, whoever reads.

    `pieces` is closed and then `finish` called, once, by whoever is the last inside. `cancel` tells
    the engine to stop; it is called first by whoever closes before the end, from any thread and
    also by the garbage collector, so it must not block.

    Raises:
        Cancelled: from a read, when another thread has closed the stream before its end. For the
            thread that closes it itself, the stream has merely ended.
    """

    _exiting = staticmethod(sys.is_finalizing)  # at hand even when this module is gone

    def __init__(
        self,
        pieces: Iterator[C],
        finish: Callable[[], None],
        cancel: Callable[[], None] | None = None,
    ) -> None:
        self._pieces = pieces
        self._finish: Callable[[], None] | None = finish
        self._cancel = cancel
        self._over = False
        self._closer: int | None = None
        self._inside = threading.Lock()

    def __next__(self) -> C:
        try:
            with self._inside:
                self._check_open()
                piece = self._read()
                self._check_open()
                return piece
        finally:
            # Looked at after the lock is free, and set by `close` before it tries the lock: so one
            # of the two ends the stream, whatever their timing.
            if self._over:
                self._end()

    def _check_open(self) -> None:
        if not self._over:
            return
        if self._closer in {None, threading.get_ident()}:
            raise StopIteration
        raise Cancelled("the stream was closed by another thread")

    def _read(self) -> C:
        try:
            return next(self._pieces)
        except BaseException:
            self._over = True
            raise

    def close(self) -> None:
        """Stop the engine and let the model go. Safe to call twice, and from any thread.

        While another thread waits for a piece this returns at once; that thread comes out at the
        engine's next step, gets `Cancelled`, and lets the model go.
        """
        try:
            if not self._over:
                self._closer = threading.get_ident()
                self._over = True
                if self._cancel is not None:
                    self._cancel()
        finally:
            self._end()

    def _end(self) -> None:
        """Close the pieces and finish, once; not while someone is inside, who does it then."""
        if not self._inside.acquire(blocking=False):
            return
        try:
            finish, self._finish = self._finish, None
            if finish is not None:
                self._close_pieces(finish)
        finally:
            self._inside.release()

    def _close_pieces(self, finish: Callable[[], None]) -> None:
        close = getattr(self._pieces, "close", None)
        try:
            if close is not None:
                close()
        finally:
            finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Not when half made; nor at exit, when what `finish` needs may be gone, or locked for ever by
        # a daemon thread that was stopped there.
        if hasattr(self, "_inside") and not self._exiting():
            self.close()
