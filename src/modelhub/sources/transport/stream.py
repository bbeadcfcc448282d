"""A download that goes on where it broke off."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from modelhub.errors import SourceChanged
from modelhub.sources.transport.answer import Answer
from modelhub.sources.transport.retry import RetryPolicy, Transient
from modelhub.sources.transport.stop import Stop

LOG = logging.getLogger(__name__)

# A server that breaks off all the time without getting further is given up; one that delivers is not.
_PROGRESS = 1 << 20
_MAX_BREAKS = 8

Ask = Callable[[int, int | None], Answer]


class Version:
    """Which version of a remote file its answers are of: what the first one says holds for all.

    `etag` and `total`, the file's size, are `None` where the server has not said. `ranged` is whether
    it gives ranges; `None` as long as it was not asked for one. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self.etag: str | None = None
        self.total: int | None = None
        self.ranged: bool | None = None
        self._lock = threading.Lock()

    def agree(self, answer: Answer, *, ranged: bool) -> None:
        """Take an answer to a request, for a range or not, as one of this version.

        Raises:
            SourceChanged
        """
        with self._lock:
            if None not in (self.etag, answer.etag) and self.etag != answer.etag:
                raise _changed(answer, f"its ETag was {self.etag} and is {answer.etag}")
            self.etag = self.etag or answer.etag
            if ranged and self.ranged is not False:
                self.ranged = answer.status == 206

    def agree_on_size(self, answer: Answer) -> None:
        """Take the size that an aligned answer says; raises as `agree`."""
        with self._lock:
            if None not in (self.total, answer.total) and self.total != answer.total:
                raise _changed(answer, f"it had {self.total} bytes and now has {answer.total}")
            self.total = answer.total if self.total is None else self.total


def _changed(answer: Answer, how: str) -> SourceChanged:
    return SourceChanged(
        f"{answer.address} changed while it was read: {how}", hint="Try again; nothing of it was kept."
    )


class Stream:
    """The bytes `start` to `end` of a remote file, as one uninterrupted `ByteStream`.

    Behind it, a connection that stalls, resets or ends early is replaced by a new request for the
    rest. `total` is the size of the whole file as the server declares it, `None` where it does not.
    """

    def __init__(
        self,
        ask: Ask,
        policy: RetryPolicy,
        stop: Stop,
        version: Version,
        *,
        start: int,
        end: int | None,
    ) -> None:
        self._ask = ask
        self._policy = policy
        self._stop = stop
        self._version = version
        self._position = start
        self._end = end
        self._breaks = 0
        self._break_at = start
        self._answer: Answer | None = None
        self._ended = False
        policy.run(self._open, stop)

    @property
    def total(self) -> int | None:
        return self._version.total

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from the left; the count, 0 at the end.

        Raises:
            SourceUnavailable: when the rest cannot be had within the bounds of the policy.
        """
        if self._ended or not len(buffer):
            return 0
        try:
            return self._take(buffer)
        except Transient as problem:
            self._stop.check()  # the reason why it broke off
            self._count_break(problem)
            return self._policy.run(lambda: self._take(buffer), self._stop)

    def close(self) -> None:
        """Let go of the connection. Safe to call twice."""
        self._ended = True
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, buffer: memoryview) -> int:
        try:
            count = self._open().readinto(buffer)
        except Transient:
            self._drop()
            raise
        self._position += count
        if not count:
            self.close()
        return count

    def _open(self) -> Answer:
        if self._answer is None:
            self._answer = self._ask(self._position, self._end)
        return self._answer

    def _drop(self) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.close()

    def _count_break(self, problem: Transient) -> None:
        further = self._position - self._break_at >= _PROGRESS
        self._breaks = 1 if further else self._breaks + 1
        self._break_at = self._position
        if self._breaks > _MAX_BREAKS:
            raise problem.error from problem.__cause__
        LOG.warning(
            "%s; going on from byte %d",
            problem.error.message,
            self._position,
            extra={
                "event": "download_resume",
                "position": self._position,
                "error_type": problem.error.code,
            },
        )
