"""The queue: rows with leases. Whoever holds the lease works; whoever lost it is told to stop.

All times are the database's, so that hosts whose clocks differ agree on who holds a lease.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, or_, select, update
from sqlalchemy.orm import Session

from modelhub.errors import Cancelled, JobFailed, JobNotFound
from modelhub.facts import Job, JobKind, JobStatus, JsonDict
from modelhub.registry.statements import insert, now
from modelhub.registry.tables import JobRow
from modelhub.registry.types import check_indexable

MAX_ATTEMPTS = 5


class Jobs:
    """Long work, by what it does and a key that says when two jobs are the same."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        kind: JobKind,
        key: str,
        payload: JsonDict,
        total: int | None = None,
    ) -> tuple[Job, bool]:
        """A queued job, and whether it is new: one of the same key that has not ended is given back.

        Raises:
            InvalidInput: for a key that is too long.
        """
        check_indexable(key, "key")
        moment = now(self._session)
        self._bury(moment, JobRow.dedup_key == key)
        new = insert(self._session, JobRow).values(
            kind=kind,
            status=JobStatus.QUEUED,
            dedup_key=key,
            input=payload,
            total=total,
            max_attempts=MAX_ATTEMPTS,
            run_at=moment,
            created_at=moment,
        )
        unfinished = select(JobRow).where(JobRow.dedup_key == key, _unfinished())
        while True:
            made = self._session.scalar(new.on_conflict_do_nothing().returning(JobRow.id))
            if made is not None:
                return self._job(made), True
            # Between the two statements the other one may have ended; then ours is new after all.
            if (row := self._session.scalars(unfinished).first()) is not None:
                return _job(row), False

    def start(self, job_id: int, owner: str, lease: float) -> Job | None:
        """Begin this job as `owner` for `lease` seconds; `None` if it has ended or is another's."""
        moment = now(self._session)
        self._bury(moment, JobRow.id == job_id)
        return self._take(JobRow.id == job_id, owner, lease, moment)

    def claim(self, owner: str, lease: float, kinds: Iterable[JobKind]) -> Job | None:
        """Begin the most urgent job that is due, or whose worker has died; `None` if there is none."""
        moment = now(self._session)
        self._bury(moment, None)
        due = (
            select(JobRow.id)
            .where(JobRow.kind.in_([kind.value for kind in kinds]), _free(moment))
            .order_by(JobRow.priority.desc(), JobRow.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        job_id = self._session.scalar(due)
        return None if job_id is None else self._take(JobRow.id == job_id, owner, lease, moment)

    def beat(
        self,
        job_id: int,
        owner: str,
        *,
        done: int,
        total: int | None,
        stage: str,
        lease: float,
        unit: str = "bytes",
    ) -> bool | None:
        """Renew the lease and tell how far it is; whether it should stop, `None` if it is another's."""
        until = now(self._session) + timedelta(seconds=lease)
        beaten = (
            update(JobRow)
            .where(_held(job_id, owner))
            .values(done=done, total=total, unit=unit, stage=stage, lease_until=until)
        )
        return self._session.scalar(beaten.returning(JobRow.cancel_requested))

    def finish(
        self,
        job_id: int,
        owner: str,
        status: JobStatus,
        output: JsonDict | None = None,
        error: JsonDict | None = None,
    ) -> bool:
        """Say how it ended; `False` if it is another's by now, and nothing was written."""
        ended = (
            update(JobRow)
            .where(_held(job_id, owner))
            .values(status=status, output=output, error=error, **self._ended())
        )
        return self._session.scalar(ended.returning(JobRow.id)) is not None

    def abandon(self, job_id: int, owner: str) -> None:
        """Let the lease of an owner that is known to be dead run out now."""
        over = now(self._session) - timedelta(seconds=1)
        self._session.execute(update(JobRow).where(_held(job_id, owner)).values(lease_until=over))

    def amend(self, job_id: int, payload: JsonDict) -> None:
        """Change what a job was given, so that whoever takes it over goes on from there."""
        self._session.execute(update(JobRow).where(JobRow.id == job_id).values(input=payload))

    def purges_left(self, store: str) -> tuple[Job, ...]:
        """The purges of a store that have removed rows and not ended well, oldest first."""
        found = select(JobRow).where(
            JobRow.kind == JobKind.REPO_PURGE.value, JobRow.status != JobStatus.SUCCEEDED
        )
        jobs = map(_job, self._session.scalars(found.order_by(JobRow.id)))
        return tuple(job for job in jobs if "removal" in job.input and job.input.get("store") == store)

    def running(self) -> tuple[Job, ...]:
        """Those that somebody works at, or did when it died."""
        found = select(JobRow).where(JobRow.status == JobStatus.RUNNING).order_by(JobRow.id)
        return tuple(map(_job, self._session.scalars(found)))

    def is_idle(self, job_id: int) -> bool:
        """Whether it has not ended, and nobody works at it."""
        idle = select(JobRow.id).where(JobRow.id == job_id, _idle(now(self._session)))
        return self._session.scalar(idle) is not None

    def request_cancel(self, job_id: int) -> None:
        """Ask it to stop: a queued one ends at once, a running one at its next beat.

        Raises:
            JobNotFound
        """
        self._job(job_id)
        cancelled = {"status": JobStatus.CANCELLED, "error": _cancelled(), **self._ended()}
        waiting = update(JobRow).where(JobRow.id == job_id, JobRow.status == JobStatus.QUEUED)
        ended = self._session.scalar(waiting.values(cancelled).returning(JobRow.id))
        if ended is None:
            running = update(JobRow).where(JobRow.id == job_id, JobRow.status == JobStatus.RUNNING)
            self._session.execute(running.values(cancel_requested=True))

    def get(self, job_id: int) -> Job | None:
        """A job by its number."""
        row = self._session.get(JobRow, job_id, populate_existing=True)
        return None if row is None else _job(row)

    def list(self, limit: int, status: JobStatus | None = None) -> tuple[Job, ...]:
        """The newest jobs first."""
        newest = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
        if status is not None:
            newest = newest.where(JobRow.status == status)
        return tuple(map(_job, self._session.scalars(newest)))

    def _job(self, job_id: int) -> Job:
        job = self.get(job_id)
        if job is None:
            raise JobNotFound(f"no job {job_id}", field="job")
        return job

    def _take(
        self, which: ColumnElement[bool], owner: str, lease: float, moment: datetime
    ) -> Job | None:
        taken = (
            update(JobRow)
            .where(which, _free(moment))
            .values(
                status=JobStatus.RUNNING,
                lease_owner=owner,
                lease_until=moment + timedelta(seconds=lease),
                attempt=JobRow.attempt + 1,
                started_at=moment,
            )
        )
        job_id = self._session.scalar(taken.returning(JobRow.id))
        return None if job_id is None else self._job(job_id)

    def _bury(self, moment: datetime, which: ColumnElement[bool] | None) -> None:
        """End what died and will not be tried again: it was cancelled, or died too often."""
        dead = and_(JobRow.status == JobStatus.RUNNING, JobRow.lease_until < moment)
        if which is not None:
            dead = and_(dead, which)
        ends: dict[JobStatus, tuple[ColumnElement[bool], JsonDict]] = {
            JobStatus.CANCELLED: (JobRow.cancel_requested.is_(True), _cancelled()),
            JobStatus.FAILED: (JobRow.attempt >= JobRow.max_attempts, _exhausted()),
        }
        for status, (why, error) in ends.items():
            ended = {"status": status, "error": error, "finished_at": moment, "updated_at": moment}
            self._session.execute(update(JobRow).where(dead, why).values(ended))

    def _ended(self) -> dict[str, Any]:
        return {"finished_at": now(self._session), "lease_until": None}


def _unfinished() -> ColumnElement[bool]:
    # As literals, as the partial index has it, or SQLite would not see that the index does.
    states = [JobStatus.QUEUED.value, JobStatus.RUNNING.value]
    return JobRow.status.in_(bindparam(None, states, expanding=True, literal_execute=True))


def _free(moment: datetime) -> ColumnElement[bool]:
    """It may be taken."""
    return and_(JobRow.attempt < JobRow.max_attempts, _idle(moment))


def _idle(moment: datetime) -> ColumnElement[bool]:
    """Nobody works at it: due and queued, or its worker let the lease run out."""
    return or_(
        and_(JobRow.status == JobStatus.QUEUED, JobRow.run_at <= moment),
        and_(JobRow.status == JobStatus.RUNNING, JobRow.lease_until < moment),
    )


def _held(job_id: int, owner: str) -> ColumnElement[bool]:
    """It is this owner's still: nobody took it over when the lease ran out."""
    return and_(JobRow.id == job_id, JobRow.lease_owner == owner, JobRow.status == JobStatus.RUNNING)


def _cancelled() -> JsonDict:
    return Cancelled("the job was cancelled", by_request=True).to_dict()


def _exhausted() -> JsonDict:
    return JobFailed(f"its worker died {MAX_ATTEMPTS} times").to_dict()


def _job(row: JobRow) -> Job:
    return Job(
        id=row.id,
        kind=JobKind(row.kind),
        status=JobStatus(row.status),
        key=row.dedup_key,
        input=row.input,
        output=row.output,
        error=row.error,
        stage=row.stage,
        done=row.done,
        total=row.total,
        unit=row.unit,
        attempt=row.attempt,
        owner=row.lease_owner if row.status == JobStatus.RUNNING else None,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
