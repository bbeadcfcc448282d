"""Which failures of a submitted job are tried again, and when: one table."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from modelhub.errors import (
    AccessDenied,
    ArtifactNotFound,
    DatabaseUnavailable,
    DeadlineExceeded,
    IntegrityError,
    InUse,
    ModelHubError,
    ProcessLost,
    SourceUnavailable,
    StoreUnavailable,
)

__all__ = ["FINAL", "RETRIES", "Backoff", "pause"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Seconds before the second attempt; each later one waits `factor` times as long, `most` at most."""

    first: float
    factor: float = 4.0
    most: float = 300.0

    def seconds(self, attempt: int, dice: Callable[[], float] = random.random) -> float:
        """The pause after attempt `attempt` (the first is 1): between half of it and all, by chance, so
        that what failed together does not come back together.
        """
        whole = min(self.most, self.first * self.factor ** (attempt - 1))
        return whole * (0.5 + dice() / 2)


FINAL = None

RETRIES: dict[type[BaseException], Backoff | None] = {
    # What is not so now may be so in a while.
    SourceUnavailable: Backoff(2.0),
    DatabaseUnavailable: Backoff(2.0),
    StoreUnavailable: Backoff(5.0),
    ConnectionError: Backoff(2.0),
    TimeoutError: Backoff(2.0),
    ProcessLost: Backoff(2.0),
    # Somebody holds it, who may take minutes.
    InUse: Backoff(10.0),
    # Damaged bytes were put aside, or deleted by others: they are fetched anew.
    IntegrityError: Backoff(1.0),
    ArtifactNotFound: Backoff(1.0),
    # No time changes these.
    AccessDenied: FINAL,
    DeadlineExceeded: FINAL,
    ModelHubError: FINAL,
    BaseException: FINAL,
}
"""By class of error, the nearest of its ancestors counts. A repository that is not there (404), a token that
will not do, bad input, a full disk, a refused licence: final. A reset, a timeout, a 429, a 5xx: not.
"""


def pause(error: BaseException, attempt: int, most: int) -> float | None:
    """Seconds until a job that failed at its attempt `attempt` is begun again; `None`: it has ended.

    `most` is how many attempts it has.
    """
    backoff = next(RETRIES[kind] for kind in type(error).__mro__ if kind in RETRIES)
    return None if backoff is None or attempt >= most else backoff.seconds(attempt)
