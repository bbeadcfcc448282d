"""A download that goes on where it broke off."""

import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from modelhub.errors import SourceError
from modelhub.sources.transport.answer import Answer
from modelhub.sources.transport.retry import RetryPolicy, Transient

LOG = logging.getLogger(__name__)

# A server that breaks off all the time without getting further is given up; one that delivers is not.
_PROGRESS = 1 << 20
_MAX_BREAKS = 8

Ask = Callable[[int, int | None], Answer]


class Stream:
    """The bytes `start` to `end` of a remote file, as one uninterrupted `ByteStream`.

    Behind it, a connection that stalls, resets or ends early is replaced by a new request for the
    rest. `total` is the size of the whole file as the server declares it, `None` where it does not.
    """

    def __init__(self, ask: Ask, policy: RetryPolicy, start: int, end: int | None) -> None:
        self._ask = ask
        self._policy = policy
        self._position = start
        self._end = end
        self._breaks = 0
        self._break_at = start
        self._answer: Answer | None = None
        self._ended = False
        self.total: int | None = None
        policy.run(self._open)

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
            self._count_break(problem)
            return self._policy.run(lambda: self._take(buffer))

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
            answer = self._ask(self._position, self._end)
            self._answer = answer
            self._check_total(answer)
        return self._answer

    def _check_total(self, answer: Answer) -> None:
        if self.total is None:
            self.total = answer.total
        elif answer.total not in (None, self.total):
            self.close()
            raise SourceError(
                f"{answer.address} changed while it was read: it had {self.total} bytes and now has "
                f"{answer.total}",
                hint="Try again.",
            )

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
