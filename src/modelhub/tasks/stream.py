"""A stream of pieces that stops its engine when nobody reads on."""

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

C = TypeVar("C")


class Stream(Iterator[C], Generic[C]):
    """Pieces of an answer, in order.

    Leave the loop early and the engine stops: at once with `close()` or a `with` block, else as
    soon as the stream is garbage. An error of the engine is raised where it is read.
    """

    def __init__(self, pieces: Iterator[C], finish: Callable[[], None]) -> None:
        self._pieces = pieces
        self._finish = finish
        self._open = True

    def __next__(self) -> C:
        if not self._open:
            raise StopIteration
        try:
            return next(self._pieces)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the engine and let the model go. Safe to call twice."""
        if not self._open:
            return
        self._open = False
        close = getattr(self._pieces, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
