"""When to try again, and how long to wait before."""

import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from modelhub.errors import ModelHubError
from modelhub.sources.transport.stop import Stop

T = TypeVar("T")
LOG = logging.getLogger(__name__)

RETRY_STATUS = frozenset({408, 425, 429, *range(500, 600)}) - {501, 505}
_RATE_LIMIT = re.compile(r'"\w+"\s*;\s*r\s*=\s*0\s*;\s*t\s*=\s*(\d{1,9})')


class Transient(Exception):
    """Something that may work the next time.

    `error` is what the caller gets when it does not; `after` are the seconds that the server asked
    for, if it did.
    """

    def __init__(self, error: ModelHubError, after: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.after = after


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off with jitter; a server's wish to be left alone for longer is honoured.

    `attempts` counts the first one. Waits are in seconds: about `first_wait`, then twice as much
    each time up to `longest_backoff`. A server that asks for more than `longest_wait` is not asked again.
    `sleep` waits in place of the one who is asked to stop.
    """

    attempts: int = 4
    first_wait: float = 0.5
    longest_backoff: float = 8.0
    longest_wait: float = 60.0
    sleep: Callable[[float], None] | None = None

    def run(self, attempt: Callable[[], T], stop: Stop | None = None) -> T:
        """What `attempt` gives; the error inside the last `Transient` when it never works.

        Raises:
            Cancelled: when `stop` came meanwhile, also from within a wait.
        """
        stop = stop or Stop()

        def unless_stopped() -> T:
            stop.check()
            try:
                return attempt()
            except Transient:
                stop.check()  # the reason why it broke off
                raise

        retrying = Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=retry_if_exception(self._is_worth_it),
            sleep=self.sleep or stop.sleep,
            before_sleep=_log,
            reraise=True,
        )
        try:
            return retrying(unless_stopped)
        except Transient as problem:
            raise problem.error from problem.__cause__

    def _wait(self, state: RetryCallState) -> float:
        backoff = wait_exponential(self.first_wait, self.longest_backoff) + wait_random(
            0, self.first_wait
        )
        return max(backoff(state), _transient(state).after or 0.0)

    def _is_worth_it(self, error: BaseException) -> bool:
        return isinstance(error, Transient) and (error.after or 0.0) <= self.longest_wait


def retry_after(retry: str | None, rate_limit: str | None = None) -> float | None:
    """Seconds that an answer asks to wait, by its `Retry-After` (RFC 9110 §10.2.3) or `RateLimit`."""
    value = (retry or "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    if match := _RATE_LIMIT.search(rate_limit or ""):
        return float(match[1])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _transient(state: RetryCallState) -> Transient:
    problem = state.outcome.exception() if state.outcome else None
    assert isinstance(problem, Transient)
    return problem


def _log(state: RetryCallState) -> None:
    wait = state.next_action.sleep if state.next_action else 0.0
    problem = _transient(state)
    LOG.warning(
        "%s; attempt %d follows in %.1f s",
        problem.error.message,
        state.attempt_number + 1,
        wait,
        extra={"event": "http_retry", "attempt": state.attempt_number, "error_type": problem.error.code},
    )
