"""Runs work in the calling thread while its `job` row tells everybody how it goes.

The row and its lease are the truth: a job whose process died is free again when its lease runs
out, and whoever asks for the same key next takes it over. The work itself must be idempotent.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from modelhub.errors import Cancelled, JobFailed, JobNotFound, ModelHubError, error_from_dict
from modelhub.facts import Call, Job, JobKind, JobStatus, JsonDict, Progress, ProgressCallback
from modelhub.registry import Registry

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
BEAT_SECONDS = 1.0
POLL_SECONDS = 0.2

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

        Returns what `work` returned. What it raises is kept in the row and raised.
        """
        call = call or Call()
        with self._registry.begin() as tx:
            job, _ = tx.jobs.create(kind, key, payload)
        while True:
            with self._registry.begin() as tx:
                mine = tx.jobs.start(job.id, self._owner, LEASE_SECONDS)
            if mine is not None:
                return self._work(mine, work, call, on_progress)
            job = self.get(job.id)
            if job.status.ended:
                return _outcome(job)
            _report(on_progress, job)
            call.check()
            time.sleep(POLL_SECONDS)

    def _work(self, job: Job, work: Work, call: Call, on_progress: ProgressCallback | None) -> JsonDict:
        context = JobContext(self._registry, job, self._owner, call, on_progress)
        started = time.monotonic()
        try:
            output = work(context)
        except BaseException as error:
            self._finish(job, *_failure(error))
            log.warning("job failed", extra={"job_id": job.id, "error_type": type(error).__name__})
            raise
        context.beat()
        self._finish(job, JobStatus.SUCCEEDED, output, None)
        log.info("job done", extra={"job_id": job.id, "duration_ms": _ms(started)})
        return output

    def _finish(
        self, job: Job, status: JobStatus, output: JsonDict | None, error: JsonDict | None
    ) -> None:
        with self._registry.begin() as tx:
            tx.jobs.finish(job.id, self._owner, status, output=output, error=error)


class JobContext:
    """What running work reports to, and asks whether to go on. For one thread."""

    def __init__(
        self,
        registry: Registry,
        job: Job,
        owner: str,
        call: Call,
        on_progress: ProgressCallback | None,
    ) -> None:
        self.job = job
        self._registry = registry
        self._owner = owner
        self._call = call
        self._on_progress = on_progress
        self._last = Progress(stage="", done=0)
        self._next_beat = 0.0

    def progress(self, stage: str, done: int, total: int | None = None, item: str = "") -> None:
        """Report; the row follows at most once a second. Raises as `check` does."""
        self._last = Progress(stage=stage, done=done, total=total, item=item)
        if self._on_progress is not None:
            self._on_progress(self._last)
        self.check()

    def check(self) -> None:
        """Raise when the job should stop.

        Raises:
            Cancelled: by the caller, by `Jobs.cancel`, or because another process took it over.
            DeadlineExceeded
        """
        self._call.check()
        now = time.monotonic()
        if now < self._next_beat:
            return
        self._next_beat = now + BEAT_SECONDS
        stop = self.beat()
        if stop is None:
            raise Cancelled(f"job {self.job.id} was taken over by another process")
        if stop:
            raise Cancelled(f"job {self.job.id} was cancelled")

    def beat(self) -> bool | None:
        """Renew the lease and write the progress down; whether to stop, `None` if taken over."""
        last = self._last
        with self._registry.begin() as tx:
            return tx.jobs.beat(
                self.job.id,
                self._owner,
                done=last.done,
                total=last.total,
                stage=last.stage,
                lease=LEASE_SECONDS,
            )


def _failure(error: BaseException) -> tuple[JobStatus, None, JsonDict]:
    if isinstance(error, Cancelled | KeyboardInterrupt):
        return JobStatus.CANCELLED, None, Cancelled("the job was cancelled").to_dict()
    if not isinstance(error, ModelHubError):
        error = JobFailed(f"{type(error).__name__}: {error}")
    return JobStatus.FAILED, None, error.to_dict()


def _outcome(job: Job) -> JsonDict:
    if job.status is JobStatus.SUCCEEDED:
        return job.output or {}
    error: dict[str, Any] = job.error or JobFailed(f"job {job.id} ended as {job.status}").to_dict()
    raise error_from_dict(error)


def _report(on_progress: ProgressCallback | None, job: Job) -> None:
    if on_progress is not None:
        on_progress(Progress(stage=job.stage or "waiting", done=job.done, total=job.total))


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
