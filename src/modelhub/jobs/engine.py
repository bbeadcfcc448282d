"""Runs work in the calling thread while its `job` row tells everybody how it goes.

The row and its lease are the truth. While the work runs, a thread renews the lease and writes the
progress down; when it stops, the job is free again and whoever asks for the same key next takes it
over. So the work must be idempotent.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from uuid import uuid4

from modelhub.errors import (
    Cancelled,
    HubClosed,
    JobFailed,
    JobNotFound,
    ModelHubError,
    RegistryError,
    error_from_dict,
)
from modelhub.facts import Call, Job, JobKind, JobStatus, JsonDict, Progress, ProgressCallback
from modelhub.jobs.beat import LEASE_SECONDS, Heart, TakenOver
from modelhub.registry import Registry

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2

_PERSONAL = frozenset(
    [
        "deadline_exceeded",
        "access_denied",
        "gated_repository",
        "repository_not_found",
        "offline",
        "hub_closed",
    ]
)
"""Codes of failures that say something of who asked (a timeout, a token), not of the work: whoever
waited for such a job tries it again."""

Work = Callable[["JobContext"], JsonDict]


class Jobs:
    """The jobs of one registry."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{uuid4().hex[:8]}"

    def list(self, *, limit: int = 50, status: JobStatus | None = None) -> tuple[Job, ...]:
        """The newest jobs."""
        with self._registry.read() as tx:
            return tx.jobs.list(limit, status)

    def get(self, job_id: int) -> Job:
        """One job.

        Raises:
            JobNotFound
        """
        with self._registry.read() as tx:
            job = tx.jobs.get(job_id)
        if job is None:
            raise JobNotFound(f"no job {job_id}", hint="`modelhub jobs` lists them.", field="job")
        return job

    def cancel(self, job_id: int) -> Job:
        """Ask a job to stop; a running one stops at its next step. An ended one stays as it is."""
        self.get(job_id)
        with self._registry.begin() as tx:
            tx.jobs.request_cancel(job_id)
        return self.get(job_id)

    def run(
        self,
        kind: JobKind,
        key: str,
        payload: JsonDict,
        work: Work,
        *,
        call: Call | None = None,
        on_progress: ProgressCallback | None = None,
    ) -> JsonDict:
        """Do `work` as the job `key`, here; or, while someone else does it, wait for the outcome.

        Returns what the work returned. What it raises is kept in the row and raised. When the one
        who worked gave up for a reason of its own (its timeout, its Ctrl-C, its credentials), one
        of those who waited does it again.
        """
        call = call or Call()
        while True:
            with self._registry.begin() as tx:
                job, _ = tx.jobs.create(kind, key, payload)
                mine = tx.jobs.start(job.id, self._owner, LEASE_SECONDS)
            if mine is not None:
                try:
                    return self._work(mine, work, call, on_progress)
                except TakenOver:
                    log.warning("job_taken_over", extra={"job_id": mine.id})
            ended = self._wait(job, call, on_progress)
            if ended is not None and not _personal(ended):
                return _outcome(ended)

    def reap(self) -> None:
        """Free the jobs of processes of this host that are gone."""
        with self._registry.read() as tx:
            dead = [job for job in tx.jobs.running() if job.owner and is_dead(job.owner)]
        for job in dead:
            with self._registry.begin() as tx:
                tx.jobs.abandon(job.id, str(job.owner))

    def _wait(self, job: Job, call: Call, on_progress: ProgressCallback | None) -> Job | None:
        """The job once it has ended; `None` when it is free to be taken."""
        log.info("job_waiting", extra={"job_id": job.id})
        while not (job := self.get(job.id)).status.ended:
            if job.owner and is_dead(job.owner):
                with self._registry.begin() as tx:
                    tx.jobs.abandon(job.id, job.owner)
            with self._registry.read() as tx:
                if tx.jobs.is_idle(job.id):
                    return None
            if on_progress is not None:
                on_progress(Progress(stage=job.stage or "waiting", done=job.done, total=job.total))
            call.check()
            time.sleep(POLL_SECONDS)
        return job

    def _work(self, job: Job, work: Work, call: Call, on_progress: ProgressCallback | None) -> JsonDict:
        started = time.monotonic()
        with Heart(self._registry, job.id, self._owner) as heart:
            context = JobContext(job, heart, call, on_progress)
            try:
                output = work(context)
                self._finish(job, heart, JobStatus.SUCCEEDED, output, None)
            except TakenOver:
                raise
            except BaseException as error:
                self._fail(job, heart, error)
                raise
        log.info("job_done", extra={"job_id": job.id, "duration_ms": _ms(started)})
        return output

    def _fail(self, job: Job, heart: Heart, error: BaseException) -> None:
        log.info("job_failed", extra={"job_id": job.id, "error_type": type(error).__name__})
        try:
            self._finish(job, heart, *_failure(error))
        except (RegistryError, HubClosed):
            # The work's own error is raised; the row says what is true when its lease runs out.
            log.exception("job_not_finished", extra={"job_id": job.id})

    def _finish(
        self, job: Job, heart: Heart, status: JobStatus, output: JsonDict | None, error: JsonDict | None
    ) -> None:
        with self._registry.begin() as tx:
            heart.write(tx)
            tx.jobs.finish(job.id, self._owner, status, output=output, error=error)


class JobContext:
    """What running work reports to, and asks whether to go on. For one thread."""

    def __init__(self, job: Job, heart: Heart, call: Call, on_progress: ProgressCallback | None) -> None:
        self.job = job
        self._heart = heart
        self._call = call
        self._on_progress = on_progress

    def progress(
        self, stage: str, done: int, total: int | None = None, item: str = "", unit: str = "bytes"
    ) -> None:
        """Report; the row follows within a second. Raises as `check` does."""
        report = Progress(stage=stage, done=done, total=total, item=item, unit=unit)
        self._heart.last = report
        if self._on_progress is not None:
            self._on_progress(report)
        self.check()

    def check(self) -> None:
        """Raise when the work should stop. Costs nothing.

        Raises:
            Cancelled: by the caller or by `Jobs.cancel`.
            DeadlineExceeded
            TakenOver: when another process has the job; `Jobs.run` waits for that one then.
        """
        self._call.check()
        self._heart.check()


def _failure(error: BaseException) -> tuple[JobStatus, None, JsonDict]:
    if isinstance(error, Cancelled):
        return JobStatus.CANCELLED, None, error.to_dict()
    if isinstance(error, KeyboardInterrupt):
        return JobStatus.CANCELLED, None, Cancelled("interrupted").to_dict()
    if not isinstance(error, ModelHubError):
        error = JobFailed(f"{type(error).__name__}: {error}")
    return JobStatus.FAILED, None, error.to_dict()


def _personal(job: Job) -> bool:
    """Whether it ended for a reason of the one who worked at it."""
    code = str((job.error or {}).get("code", ""))
    if job.status is JobStatus.CANCELLED:
        details = (job.error or {}).get("details")
        return not (isinstance(details, dict) and details.get("by_request"))
    return code in _PERSONAL


def _outcome(job: Job) -> JsonDict:
    if job.status is JobStatus.SUCCEEDED:
        return job.output or {}
    raise error_from_dict(job.error or JobFailed(f"job {job.id} ended as {job.status}").to_dict())


def is_dead(owner: str) -> bool:
    """Whether the owner was a process of this machine that is gone."""
    host, _, rest = owner.partition(":")
    pid = rest.partition(":")[0]
    if host != socket.gethostname() or not pid.isdigit() or os.name != "posix":
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
