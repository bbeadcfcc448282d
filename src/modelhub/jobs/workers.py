"""Threads that look for submitted jobs and do them."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelhub.errors import HubClosed, RegistryError
from modelhub.jobs.desk import Assignment, Desk

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How long a job that another process has submitted waits at most for a worker that is free."""

PATIENCE = 10.0
"""Seconds that `stop` waits for work to come to its next step."""

PRUNE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Spare:
    """Work for who has none. `offer` is called, by one thread at a time and about once a second, while a
    worker does nothing and finds nothing: it may hand in a job of `kind`. That has a thread of its own.
    """

    kind: str
    offer: Callable[[], None]


class Workers:
    """So many threads, of which one looks for work while the others do some, or wait for their turn.

    `limits` says which kinds they do, and of how many each at once (`None`: of any number). With `spare` there
    is one thread more, so that no other work waits for that kind.
    """

    def __init__(
        self, desk: Desk, threads: int, limits: Mapping[str, int | None], spare: Spare | None = None
    ) -> None:
        self._desk = desk
        self._limits = limits
        self._size = threads
        self._spare = spare
        self._turn = threading.Lock()
        self._news = threading.Event()
        self._lock = threading.RLock()  # a signal may come while it is held
        self._at_work: set[Assignment] = set()
        self._stopping = False
        self._prune_at = 0.0
        self._threads = [
            threading.Thread(target=self._run, name=f"job-worker-{number}", daemon=True)
            for number in range(threads + (spare is not None))
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wake(self) -> None:
        """Look for work now."""
        self._news.set()

    @property
    def patience(self) -> float:
        """Seconds that `stop` waits."""
        return PATIENCE

    def stop(self, *, wait: bool = True, patience: float | None = None) -> None:
        """Claim nothing more, and let go of what is being done, at its next step; others take it over.

        With `wait`, after `patience` seconds (10 by default) whatever has not come to a step is given back all the same: what
        it writes from then on is refused. May be called again, and from any thread.
        """
        with self._lock:
            self._stopping = True
            mine = tuple(self._at_work)
        for each in mine:
            each.release()
        self._news.set()
        if wait:
            self.join(self.patience if patience is None else patience)
            self._give_back()

    def join(self, timeout: float | None = None) -> bool:
        """Wait until they have stopped, at most `timeout` seconds; whether they have."""
        until = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _give_back(self) -> None:
        with self._lock:
            mine = tuple(self._at_work)
        for each in mine:
            try:
                self._desk.give_back(each)
            except (RegistryError, HubClosed):
                log.exception("job_not_finished", extra={"job_id": each.job.id})

    def _run(self) -> None:
        while not self._stopping:
            with self._turn:
                mine = self._next()
            if mine is not None:
                self._do(mine)

    def _do(self, mine: Assignment) -> None:
        try:
            self._desk.do(mine)
        finally:
            with self._lock:
                self._at_work.discard(mine)
            self._news.set()  # one of a kind that had its limit may be begun now

    def _next(self) -> Assignment | None:
        """A job as soon as there is one; `None` at the end."""
        while not self._stopping:
            self._news.clear()
            try:
                if (mine := self._claim()) is not None:
                    return mine
                self._desk.reap()
                self._tidy()
                self._offer()
            except RegistryError as error:
                log.warning("worker_cannot_look", extra={"error_type": error.code})
            except HubClosed:
                self._stopping = True
            self._news.wait(POLL_SECONDS * random.uniform(0.7, 1.0))
        return None

    def _claim(self) -> Assignment | None:
        kinds = self._open_kinds()
        mine = self._desk.claim(kinds) if kinds and not self._stopping else None
        if mine is not None:
            with self._lock:
                self._at_work.add(mine)
                stopping = self._stopping
            if stopping:
                mine.release()
        return mine

    def _open_kinds(self) -> tuple[str, ...]:
        with self._lock:
            busy = Counter(str(each.job.kind) for each in self._at_work)
        spare = self._spare and self._spare.kind
        full = busy.total() - (busy[spare] if spare else 0) >= self._size
        return tuple(
            kind
            for kind, limit in self._limits.items()
            if (limit is None or busy[kind] < limit) and (not full or kind == spare)
        )

    def _offer(self) -> None:
        with self._lock:
            idle = not self._at_work and not self._stopping
        if self._spare is not None and idle:
            self._spare.offer()

    def _tidy(self) -> None:
        if time.monotonic() >= self._prune_at:
            self._prune_at = time.monotonic() + PRUNE_SECONDS
            self._desk.prune()
