"""Work with a row that tells everybody how it goes: done here and now, or submitted and done by a worker.

The row and its lease are the truth. While the work runs, a thread renews the lease and writes the
progress down; when it stops, the job is free again and whoever asks for the same key next, or looks for
work, takes it over. So the work must be idempotent.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from modelhub.errors import (
    Cancelled,
    HubClosed,
    InvalidInput,
    JobFailed,
    JobNotFound,
    RegistryError,
    error_from_dict,
)
from modelhub.facts import Call, Job, JobKind, JobStatus, JsonDict, Progress, ProgressCallback
from modelhub.jobs import beat
from modelhub.jobs.beat import Heart, TakenOver
from modelhub.jobs.context import JobContext, inside
from modelhub.jobs.desk import Desk, failure, finish
from modelhub.jobs.handlers import Handler, Handlers, Payload
from modelhub.jobs.owners import is_dead, me
from modelhub.jobs.workers import Spare, Workers
from modelhub.registry import Registry

__all__ = ["Jobs"]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2

THREADS = 2
"""Workers that a process has for what it submits."""

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

Work = Callable[[JobContext], JsonDict]


class Jobs:
    """The jobs of one registry.

    Workers of `place` alone do what is submitted here; `threads` of them begin in this process at the
    first `submit`, none where it is 0.
    """

    def __init__(self, registry: Registry, *, place: str = "", threads: int = THREADS) -> None:
        self._registry = registry
        self._place = place
        self._threads = threads
        self._handlers = Handlers()
        self._ended = threading.Condition()
        self._desk = Desk(registry, self._handlers, place, self._tell)
        self._lock = threading.Lock()
        self._workers: list[Workers] = []
        self._mine: Workers | None = None
        self._closed = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """What can be submitted."""
        return self._handlers.kinds

    def add(self, *handlers: Handler[Any]) -> None:
        """Know other kinds of work too, before any is submitted.

        Raises:
            InvalidInput: for a kind that is known already, or no name.
        """
        self._handlers.add(handlers)

    def submit(self, kind: str, /, *, priority: int = 0, **payload: Any) -> Job:
        """Have work done by a worker, of this process or of another; returns at once.

        One that is the same as another that has not ended is that one. Of two that wait, that of the
        higher `priority` is begun first.

        Raises:
            InvalidInput: for an unknown kind, or a payload that is not its; nothing was written.
            HubClosed
        """
        handler = self._handlers.get(kind)
        key, content = self._row(handler, handler.read(payload))
        with self._registry.begin() as tx:
            job, new = tx.jobs.create(
                kind, key, content, place=self._place, parent=inside.get(), priority=priority
            )
        log.info("job_submitted", extra={"job_id": job.id, "kind": kind, "new": new})
        self._wake()
        return job

    def list(
        self,
        *,
        limit: int = 50,
        status: JobStatus | str | None = None,
        kind: str | None = None,
        parent: int | None = None,
    ) -> tuple[Job, ...]:
        """The newest jobs first: all, or those of a status, of a kind, that are parts of another.

        Raises:
            InvalidInput: for no status.
        """
        wanted = None if status is None else _status(status)
        with self._registry.read() as tx:
            return tx.jobs.list(limit, wanted, kind=kind, parent=parent)

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

    def wait(self, job_id: int, *, timeout: float | None = None) -> Job:
        """The job when it has succeeded; `timeout` is in seconds, and ends only the waiting.

        Raises:
            What the job raised; Cancelled when it was.
            DeadlineExceeded, JobNotFound, InvalidInput, HubClosed
        """
        *_, job = self.watch(job_id, timeout=timeout)
        _outcome(job)
        return job

    def watch(self, job_id: int, *, timeout: float | None = None) -> Iterator[Job]:
        """The job now, and each time that it has changed, until it has ended; that is the last one.

        Raises:
            DeadlineExceeded, JobNotFound, InvalidInput, HubClosed
        """
        call = Call(timeout=timeout)
        return self._changes(job_id, call)

    def cancel(self, job_id: int) -> Job:
        """Ask a job to stop, and with it the jobs that it has begun; a running one stops at its next step.
        An ended one stays as it is.
        """
        with self._registry.begin() as tx:
            tx.jobs.request_cancel(job_id)
        self._tell()
        return self.get(job_id)

    def retry(self, job_id: int) -> Job:
        """Submit again what a job that has ended was given, as a new job.

        Raises:
            InvalidInput: when it has not ended, or is of a kind that cannot be submitted.
            JobNotFound
        """
        job = self.get(job_id)
        if not job.status.ended:
            raise InvalidInput(
                f"job {job_id} is {job.status}", hint="Wait for it, or cancel it first.", field="job"
            )
        return self.submit(job.kind, priority=job.priority, **job.input)

    def work(
        self, *, threads: int = 1, kinds: Iterable[str] | None = None, spare: Spare | None = None
    ) -> Workers:
        """Workers of this process, running: for all kinds that it can do, or for `kinds`; and for `spare`.

        Raises:
            InvalidInput: for an unknown kind, or no thread.
        """
        if threads < 1:
            raise InvalidInput(f"workers must be at least 1, not {threads}", field="concurrency")
        chosen = [*(self.kinds if kinds is None else kinds), *([spare.kind] if spare else [])]
        limits = {kind: self._handlers.get(kind).limit for kind in chosen}
        workers = Workers(self._desk, threads, limits, spare)
        with self._lock:
            if self._closed:
                raise HubClosed("this Hub is closed", hint="Make a new one.")
            self._workers.append(workers)
        workers.start()
        return workers

    def close(self) -> None:
        """Stop the workers of this process; what they do is let go of after its next step, for others."""
        with self._lock:
            self._closed = True
            workers = tuple(self._workers)
        for each in workers:
            each.stop(wait=False)
        for each in workers:
            each.stop()

    def do(
        self, kind: str, /, *, call: Call, on_progress: ProgressCallback | None = None, **payload: Any
    ) -> JsonDict:
        """Do here and now what `submit` hands in: the same work is one job, whichever way it was asked for.

        Raises as `submit` and `run`.
        """
        handler = self._handlers.get(kind)
        given = handler.read(payload)
        key, content = self._row(handler, given)

        def work(context: JobContext) -> JsonDict:
            return handler.work(given, context)

        return self.run(kind, key, content, work, call=call, on_progress=on_progress, place=self._place)

    def run(
        self,
        kind: JobKind | str,
        key: str,
        payload: JsonDict,
        work: Work,
        *,
        call: Call | None = None,
        on_progress: ProgressCallback | None = None,
        place: str = "",
    ) -> JsonDict:
        """Do `work` as the job `key`, here; or, while someone else does it, wait for the outcome.

        Returns what the work returned. What it raises is kept in the row and raised. When the one
        who worked gave up for a reason of its own (its timeout, its Ctrl-C, its credentials), one
        of those who waited does it again.
        """
        call = call or Call()
        while True:
            with self._registry.begin() as tx:
                job, _ = tx.jobs.create(kind, key, payload, place=place, parent=inside.get())
                mine = tx.jobs.start(job.id, me(), beat.lease_of(kind).seconds)
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
        self._desk.reap()

    def _row(self, handler: Handler[Any], given: Payload) -> tuple[str, JsonDict]:
        """By what a job of ours is the same as another, and what its row says that it was given."""
        key = f"{handler.key_of(given)}{f' in {self._place}' if self._place else ''}"
        return key, given.model_dump(mode="json", exclude_none=True)

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
        token = inside.set(job.id)
        try:
            with Heart(self._registry, job) as heart:
                output = self._done(
                    job, heart, work, JobContext(self._registry, job, heart, call, on_progress)
                )
        finally:
            inside.reset(token)
            self._tell()
        log.info("job_done", extra={"job_id": job.id, "duration_ms": _ms(started)})
        return output

    def _done(self, job: Job, heart: Heart, work: Work, context: JobContext) -> JsonDict:
        try:
            output = work(context)
            finish(self._registry, job, heart, JobStatus.SUCCEEDED, output)
        except BaseException as error:
            if heart.lost and isinstance(error, Exception):
                raise TakenOver from error
            reason = _own(error, heart)
            self._fail(job, heart, reason)
            if reason is error:
                raise
            raise reason from error
        return output

    def _fail(self, job: Job, heart: Heart, error: BaseException) -> None:
        log.info("job_failed", extra={"job_id": job.id, "error_type": type(error).__name__})
        try:
            finish(self._registry, job, heart, *failure(error))
        except (RegistryError, HubClosed):
            # The work's own error is raised; the row says what is true when its lease runs out.
            log.exception("job_not_finished", extra={"job_id": job.id})
        except TakenOver:
            if isinstance(error, Exception):
                raise

    def _changes(self, job_id: int, call: Call) -> Iterator[Job]:
        seen: Job | None = None
        while seen is None or not seen.status.ended:
            job = self.get(job_id)
            if job != seen:
                yield job
            seen = job
            call.check()
            if not job.status.ended:
                with self._ended:
                    self._ended.wait(POLL_SECONDS)

    def _tell(self) -> None:
        """Somebody who waits should look again."""
        with self._ended:
            self._ended.notify_all()

    def _wake(self) -> None:
        """Workers of this process begin with the first job, and look for the next one at once."""
        with self._lock:
            begin = self._mine is None and self._threads > 0 and not self._closed
        if begin:
            mine = self.work(threads=self._threads)
            with self._lock:
                extra, self._mine = (mine, self._mine) if self._mine else (None, mine)
            if extra is not None:
                extra.stop()
        with self._lock:
            workers = tuple(self._workers)
        for each in workers:
            each.wake()


def _status(given: str) -> JobStatus:
    try:
        return JobStatus(given)
    except ValueError:
        known = ", ".join(JobStatus)
        raise InvalidInput(
            f"no job is {given!r:.40}", hint=f"It is one of {known}.", field="status"
        ) from None


def _own(error: BaseException, heart: Heart) -> BaseException:
    """What the end of work means for its own job: one that it is a part of may have been stopped."""
    by_request = isinstance(error, Cancelled) and error.details.get("by_request")
    if isinstance(error, TakenOver) or (by_request and not heart.cancelled):
        return Cancelled("the job that it was a part of was stopped")
    return error


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


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
