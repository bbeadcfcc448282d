"""A call under way: its deadline, its cancel flag, its progress."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Callable
from numbers import Real
from typing import Annotated, Any
from uuid import uuid4

from pydantic import BeforeValidator

from modelhub.errors import Cancelled, DeadlineExceeded, InvalidInput
from modelhub.facts.base import Fact


def _from_base64(value: Any) -> Any:
    return urlsafe_b64decode(value) if isinstance(value, str) else value


class Progress(Fact):
    """How far some work has come. `unit` is `bytes` for transfers, else what `done` counts.

    `preview` is an encoded picture: bytes, or their URL-safe base64.
    """

    stage: str
    done: int
    total: int | None = None
    unit: str = "bytes"
    item: str = ""
    preview: Annotated[bytes | None, BeforeValidator(_from_base64)] = None


ProgressCallback = Callable[[Progress], None]


class Token:
    """A cancel flag that several pieces of work may share.

    `cancel()` may come from any thread, from a signal handler and from the garbage collector:
    there is no lock in it.
    """

    __slots__ = ("_cancelled",)

    def __init__(self) -> None:
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    @property
    def cancelled(self) -> bool:
        return self._cancelled


class Call:
    """What a runtime needs to know about the request it serves, besides the request.

    `timeout` is in seconds from now; `None` waits for ever. `id` is what the call is known by; a new
    one by default.

    Raises:
        InvalidInput: for a timeout that is not a positive number.
    """

    __slots__ = ("_on_progress", "deadline", "id", "token")

    def __init__(
        self,
        *,
        timeout: float | None = None,
        token: Token | None = None,
        on_progress: ProgressCallback | None = None,
        id: str | None = None,  # noqa: A002 - the attribute's name
    ) -> None:
        if timeout is not None and not _positive(timeout):
            raise InvalidInput(
                f"timeout must be a positive number of seconds, not {timeout!r}",
                hint="Leave it out to wait as long as it takes.",
                field="timeout",
            )
        self.id = id or uuid4().hex
        self.token = token or Token()
        self.deadline = None if timeout is None else time.monotonic() + timeout
        self._on_progress = on_progress

    def cancel(self) -> None:
        """Ask the work to stop; it stops at its next `check()`."""
        self.token.cancel()

    @property
    def remaining(self) -> float | None:
        """Seconds until the deadline, never below zero; `None` without one."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    def check(self) -> None:
        """Raise when the call was cancelled or its deadline has passed.

        Raises:
            Cancelled, DeadlineExceeded
        """
        if self.token.cancelled:
            raise Cancelled("the call was cancelled")
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise DeadlineExceeded(
                "the call's timeout passed before it was done", hint="Pass a longer timeout=."
            )

    def progress(self, done: int, total: int | None = None, preview: bytes | None = None) -> None:
        """Report that `done` of `total` steps are over; `preview` is an encoded picture."""
        if self._on_progress is not None:
            report = Progress(stage="infer", done=done, total=total, unit="steps", preview=preview)
            self._on_progress(report)


def _positive(timeout: Any) -> bool:
    number = isinstance(timeout, Real) and not isinstance(timeout, bool)
    return number and float(timeout) > 0
