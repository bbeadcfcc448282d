"""What a worker does that has nothing to do: it has the store read again, a little at a time."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from modelhub.errors import InvalidInput, JobNotFound
from modelhub.facts import JobKind, JobStatus
from modelhub.hub.scrubbing import ScrubOrder
from modelhub.hub.spans import Span, seconds_of
from modelhub.jobs import Jobs
from modelhub.store import Store

__all__ = ["IdleScrub"]

PRIORITY = -100
"""Behind whatever anybody has handed in."""

SLICE_SECONDS = 600.0
"""About how long one job takes: it ends after what can be read in that time."""

LOOK_SECONDS = 3600.0
"""Between two looks for what is due, when all that could be read has been."""


@dataclass(slots=True)
class IdleScrub:
    """Hands in a scrub when something was not hashed for `older_than`, `rate` bytes a second at most."""

    store: Store
    jobs: Jobs
    rate: int
    older_than: timedelta
    clock: Callable[[], float] = time.monotonic
    _look_at: float = 0.0
    _last: int | None = None

    @classmethod
    def of(cls, store: Store, jobs: Jobs, rate: int | str, older_than: Span) -> "IdleScrub":
        """As a caller writes it.

        Raises:
            InvalidInput: for what is no rate, or no time.
        """
        order = ScrubOrder.of(rate, None, None)
        if order.rate is None:
            raise InvalidInput(
                "a scrub in the background needs a rate", hint="Such as 50MB/s.", field="rate"
            )
        age = timedelta(seconds=seconds_of("older_than", older_than))
        return cls(store, jobs, order.rate, age)

    def offer(self) -> None:
        """Hand one in, if it is time to and something is due. While there is one already, that is it."""
        if not self._goes_on() and self.clock() < self._look_at:
            return
        self._look_at, self._last = self.clock() + LOOK_SECONDS, None
        if self.store.stale(datetime.now(UTC) - self.older_than, 1):
            given = {
                "limit": max(1, int(self.rate * SLICE_SECONDS)),
                "older_than": self.older_than.total_seconds(),
            }
            job = self.jobs.submit(JobKind.STORE_SCRUB, priority=PRIORITY, rate=self.rate, **given)
            self._last = job.id

    def _goes_on(self) -> bool:
        """Whether the last one ended at its limit. One that could read nothing, failed or was cancelled is no
        reason for the next: it would end alike.
        """
        if self._last is None:
            return False
        try:
            job = self.jobs.get(self._last)
        except JobNotFound:
            return False
        output = job.output or {}
        if job.status is not JobStatus.SUCCEEDED or output.get("complete") or not output.get("checked"):
            self._last = None if job.status.ended else self._last
            return False
        return True
