"""One submitted job at a time: claimed, done, and its end written down."""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from modelhub.errors import Cancelled, HubClosed, JobFailed, ModelHubError, RegistryError
from modelhub.errors.carrying import json_value
from modelhub.facts import Call, Job, JobStatus, JsonDict
from modelhub.jobs import beat
from modelhub.jobs.beat import Heart, TakenOver
from modelhub.jobs.context import JobContext, inside
from modelhub.jobs.handlers import Handlers
from modelhub.jobs.owners import is_dead, me
from modelhub.jobs.retries import pause
from modelhub.registry import Registry
from modelhub.registry.job_states import MAX_ATTEMPTS

__all__ = ["Assignment", "Desk", "failure", "finish"]

log = logging.getLogger(__name__)

KEPT_DAYS = 30.0
"""How long a job that has ended is remembered."""


@dataclass(slots=True, eq=False)
class Assignment:
    """A claimed job in a worker's hands. `let_go` says that it should give it back at its next step."""

    job: Job
    call: Call = field(default_factory=Call)
    let_go: bool = False

    def release(self) -> None:
        """Have it given back."""
        self.let_go = True
        self.call.cancel()


@dataclass(frozen=True, slots=True)
class Desk:
    """What a worker does, whatever thread it is; `tell` is called when a job has ended."""

    registry: Registry
    handlers: Handlers
    place: str
    tell: Callable[[], None]

    def claim(self, kinds: Iterable[str]) -> Assignment | None:
        """The next job of these kinds, if there is one that is due."""
        kinds = tuple(kinds)
        with self.registry.read() as tx:
            if not tx.jobs.is_due(kinds, self.place):
                return None
        with self.registry.begin() as tx:
            leases = {kind: beat.lease_of(kind).seconds for kind in kinds}
            job = tx.jobs.claim(me(), leases, self.place)
        return None if job is None else Assignment(job)

    def do(self, mine: Assignment) -> None:
        """Do it, to its end; raises nothing but what no work may catch."""
        started, job = time.monotonic(), mine.job
        log.info("job_started", extra={"job_id": job.id, "kind": job.kind, "attempt": job.attempt})
        token = inside.set(job.id)
        try:
            with Heart(self.registry, job, mine.call.cancel) as heart:
                self._do(mine, heart, started)
        except TakenOver:
            log.warning("job_taken_over", extra={"job_id": job.id})
        except (RegistryError, HubClosed):
            # The row says what is true when its lease runs out.
            log.exception("job_not_finished", extra={"job_id": job.id})
        finally:
            inside.reset(token)
            self.tell()

    def give_back(self, mine: Assignment) -> None:
        """Let others have a job whose work does not stop; what that writes from now on is refused."""
        with self.registry.begin() as tx:
            tx.jobs.release(mine.job.id, str(mine.job.owner))
        log.warning("job_let_go", extra={"job_id": mine.job.id})

    def reap(self) -> None:
        """Free the jobs of processes of this host that are gone."""
        with self.registry.read() as tx:
            running = tx.jobs.running()
        for job in running:
            if job.owner and is_dead(job.owner):
                with self.registry.begin() as tx:
                    tx.jobs.abandon(job.id, job.owner)

    def prune(self) -> None:
        """Forget jobs that ended long ago."""
        with self.registry.begin() as tx:
            count = tx.jobs.prune(KEPT_DAYS)
        if count:
            log.info("jobs_pruned", extra={"count": count})

    def _do(self, mine: Assignment, heart: Heart, started: float) -> None:
        context = JobContext(self.registry, mine.job, heart, mine.call)
        try:
            handler = self.handlers.get(mine.job.kind)
            output = json_value(handler.do(mine.job.input, context))
            finish(self.registry, mine.job, heart, JobStatus.SUCCEEDED, output)
        except BaseException as error:  # noqa: BLE001 - the row tells it, and whoever waits raises it
            self._failed(mine, heart, error)
        else:
            spent = round((time.monotonic() - started) * 1000)
            log.info("job_done", extra={"job_id": mine.job.id, "duration_ms": spent})

    def _failed(self, mine: Assignment, heart: Heart, error: BaseException) -> None:
        """Whatever the work raised when it was stopped, why it was decides."""
        job = mine.job
        if heart.lost or isinstance(error, TakenOver):
            raise TakenOver from error
        if heart.cancelled:
            cancelled = Cancelled(f"job {job.id} was cancelled", by_request=True)
            finish(self.registry, job, heart, *failure(cancelled))
            return
        if mine.let_go and isinstance(error, Cancelled | HubClosed):
            self.give_back(mine)
            return
        log.info("job_failed", extra={"job_id": job.id, "error_type": type(error).__name__})
        again = pause(error, job.attempt, MAX_ATTEMPTS)
        if again is None:
            finish(self.registry, job, heart, *failure(error))
            return
        with self.registry.begin() as tx:
            heart.write(tx)
            tx.jobs.postpone(job.id, str(job.owner), failure(error)[2], again)
        log.info("job_postponed", extra={"job_id": job.id, "seconds": round(again, 1)})


def finish(
    registry: Registry,
    job: Job,
    heart: Heart,
    status: JobStatus,
    output: JsonDict | None = None,
    error: JsonDict | None = None,
) -> None:
    """Write the end of a job down, with the last of its progress.

    Raises:
        TakenOver: when another process has it, and nothing was written.
    """
    with registry.begin() as tx:
        heart.write(tx)
        if not tx.jobs.finish(job.id, str(job.owner), status, output=output, error=error):
            raise TakenOver


def failure(error: BaseException) -> tuple[JobStatus, None, JsonDict]:
    """How a job ends that raised this."""
    if isinstance(error, Cancelled):
        return JobStatus.CANCELLED, None, error.to_dict()
    if isinstance(error, KeyboardInterrupt):
        return JobStatus.CANCELLED, None, Cancelled("interrupted").to_dict()
    if not isinstance(error, ModelHubError):
        error = JobFailed(f"{type(error).__name__}: {error}")
    return JobStatus.FAILED, None, error.to_dict()
