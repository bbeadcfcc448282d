"""The queue: rows with leases. Whoever holds the lease works; whoever lost it is told to stop.

Leases and pauses go by `steady`: on PostgreSQL the server's clock, on SQLite one that cannot be set. So
neither hosts whose clocks differ nor a clock that jumps changes who holds a lease. What people read
(`created_at` and the like) is the time of day.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, delete, or_, select, update
from sqlalchemy.orm import Session

from modelhub.errors import JobNotFound
from modelhub.facts import Job, JobKind, JobStatus, JsonDict
from modelhub.registry.job_states import (
    MAX_ATTEMPTS,
    as_fact,
    cancelled,
    dead,
    free,
    held,
    hopeless,
    idle,
    unfinished,
    verdict,
)
from modelhub.registry.statements import insert, now, steady
from modelhub.registry.tables import JobRow
from modelhub.registry.types import check_indexable

PRUNED_AT_ONCE = 1000
SPARED = 1000


class Jobs:
    """Long work, by what it does and a key that says when two jobs are the same."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(
        self,
        kind: str,
        key: str,
        payload: JsonDict,
        total: int | None = None,
        *,
        place: str = "",
        parent: int | None = None,
        priority: int = 0,
    ) -> tuple[Job, bool]:
        """A queued job, and whether it is new: one of the same key that has not ended is given back.

        Workers of `place` alone may claim it; of any, where it is empty. `parent` is the job that it is
        a part of.

        Raises:
            InvalidInput: for a key that is too long.
        """
        check_indexable(key, "key")
        moment = steady(self._session)
        self._bury(moment, JobRow.dedup_key == key)
        new = insert(self._session, JobRow).values(
            kind=kind,
            status=JobStatus.QUEUED,
            dedup_key=key,
            input=payload,
            total=total,
            priority=priority,
            max_attempts=MAX_ATTEMPTS,
            place=place,
            parent_id=parent,
            run_at=moment,
            created_at=now(self._session),
        )
        found = select(JobRow).where(JobRow.dedup_key == key, unfinished())
        while True:
            made = self._session.scalar(new.on_conflict_do_nothing().returning(JobRow.id))
            if made is not None:
                return self._job(made), True
            # Between the two statements the other one may have ended; then ours is new after all.
            if (row := self._session.scalars(found).first()) is not None:
                return as_fact(row), False

    def start(self, job_id: int, owner: str, lease: float) -> Job | None:
        """Begin this job as `owner` for `lease` seconds; `None` if it has ended or is another's."""
        moment = steady(self._session)
        self._bury(moment, JobRow.id == job_id)
        return self._take(JobRow.id == job_id, owner, lease, moment)

    def claim(self, owner: str, leases: Mapping[str, float], place: str = "") -> Job | None:
        """Begin the most urgent job of `place` that is due, or whose worker has died, if there is one.

        `leases` are the kinds that may be claimed, each with the seconds of its lease.
        """
        moment = steady(self._session)
        self._bury(moment, None)
        due = (
            select(JobRow.id, JobRow.kind)
            .where(_mine(leases, place), free(moment))
            .order_by(JobRow.priority.desc(), JobRow.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        found = self._session.execute(due).first()
        return found and self._take(JobRow.id == found.id, owner, leases[found.kind], moment)

    def is_due(self, kinds: Iterable[str], place: str = "") -> bool:
        """Whether there is something to claim, or to bury. Only reads."""
        moment = steady(self._session)
        wanted = or_(and_(_mine(kinds, place), free(moment)), and_(dead(moment), hopeless()))
        return self._session.scalar(select(JobRow.id).where(wanted).limit(1)) is not None

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
        until = steady(self._session) + timedelta(seconds=lease)
        beaten = (
            update(JobRow)
            .where(held(job_id, owner))
            .values(done=done, total=total, unit=unit, stage=stage, lease_until=until)
        )
        return self._session.scalar(beaten.returning(JobRow.cancel_requested))

    def is_stopped(self, job_id: int, owner: str) -> bool | None:
        """What a beat would say. Only reads."""
        return self._session.scalar(select(JobRow.cancel_requested).where(held(job_id, owner)))

    def note(self, job_id: int, owner: str, output: JsonDict) -> bool:
        """Keep what a running job has so far, for whoever takes it over; `False` if it is another's by now.

        The row is locked until the transaction ends: what else it writes is written by the one worker
        that has the job.
        """
        noted = update(JobRow).where(held(job_id, owner)).values(output=output)
        return self._session.scalar(noted.returning(JobRow.id)) is not None

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
            .where(held(job_id, owner))
            .values(status=status, output=output, error=error, **self._ended())
        )
        return self._session.scalar(ended.returning(JobRow.id)) is not None

    def postpone(self, job_id: int, owner: str, error: JsonDict, seconds: float) -> bool:
        """Begin it again in `seconds`, by whoever comes; it failed with `error`. One that somebody has
        cancelled ends. `False` if it is another's by now.
        """
        return self._requeue(job_id, owner, seconds, {"error": error})

    def release(self, job_id: int, owner: str) -> bool:
        """Let go of it, as if it had not been begun. One that somebody has cancelled ends. `False` if it
        is another's by now.
        """
        return self._requeue(job_id, owner, 0.0, {"attempt": JobRow.attempt - 1})

    def abandon(self, job_id: int, owner: str) -> None:
        """Let the lease of an owner that is known to be dead run out now."""
        over = steady(self._session) - timedelta(seconds=1)
        self._session.execute(update(JobRow).where(held(job_id, owner)).values(lease_until=over))

    def amend(self, job_id: int, payload: JsonDict) -> None:
        """Change what a job was given, so that whoever takes it over goes on from there."""
        self._session.execute(update(JobRow).where(JobRow.id == job_id).values(input=payload))

    def purges_left(self, store: str) -> tuple[Job, ...]:
        """The purges of a store that have removed rows and not ended well, oldest first."""
        found = select(JobRow).where(
            JobRow.kind == JobKind.REPO_PURGE.value, JobRow.status != JobStatus.SUCCEEDED
        )
        jobs = map(as_fact, self._session.scalars(found.order_by(JobRow.id)))
        return tuple(job for job in jobs if "removal" in job.input and job.input.get("store") == store)

    def prune(self, days: float, spare: int = SPARED) -> int:
        """Delete what ended more than `days` ago, at most a thousand at once; how many.

        Not the newest `spare`, by which a clock that jumps ahead takes nobody's outcome away, and not what
        a purge has left to do.
        """
        old = now(self._session) - timedelta(days=days)
        # Numbers ascend in time: where the first job is young, all are.
        first = self._session.scalar(select(JobRow.created_at).order_by(JobRow.id).limit(1))
        newest = self._session.scalar(select(JobRow.id).order_by(JobRow.id.desc()).limit(1))
        if first is None or newest is None or first >= old:
            return 0
        over = select(JobRow.id).where(
            JobRow.id <= newest - spare,
            JobRow.finished_at < old,
            or_(JobRow.kind != JobKind.REPO_PURGE.value, JobRow.status == JobStatus.SUCCEEDED),
        )
        numbers = tuple(self._session.scalars(over.order_by(JobRow.id).limit(PRUNED_AT_ONCE)))
        if numbers:
            self._session.execute(delete(JobRow).where(JobRow.id.in_(numbers)))
        return len(numbers)

    def running(self) -> tuple[Job, ...]:
        """Those that somebody works at, or did when it died."""
        found = select(JobRow).where(JobRow.status == JobStatus.RUNNING).order_by(JobRow.id)
        return tuple(map(as_fact, self._session.scalars(found)))

    def is_idle(self, job_id: int) -> bool:
        """Whether it has not ended, and nobody works at it."""
        found = select(JobRow.id).where(JobRow.id == job_id, idle(steady(self._session)))
        return self._session.scalar(found) is not None

    def request_cancel(self, job_id: int) -> None:
        """Ask it to stop: one at which nobody works ends at once, a running one at its next beat.

        Raises:
            JobNotFound
        """
        self._job(job_id)
        ended = {"status": JobStatus.CANCELLED, "error": cancelled(), **self._ended()}
        waiting = update(JobRow).where(JobRow.id == job_id, JobRow.status == JobStatus.QUEUED)
        if self._session.scalar(waiting.values(ended).returning(JobRow.id)) is None:
            running = update(JobRow).where(JobRow.id == job_id, JobRow.status == JobStatus.RUNNING)
            self._session.execute(running.values(cancel_requested=True))
            self._bury(steady(self._session), JobRow.id == job_id)

    def get(self, job_id: int) -> Job | None:
        """A job by its number."""
        row = self._session.get(JobRow, job_id, populate_existing=True)
        return None if row is None else as_fact(row)

    def list(
        self,
        limit: int,
        status: JobStatus | None = None,
        *,
        kind: str | None = None,
        parent: int | None = None,
    ) -> tuple[Job, ...]:
        """The newest jobs first; of a kind, or parts of one other."""
        newest = select(JobRow).order_by(JobRow.id.desc()).limit(limit)
        wanted = {"status": status, "kind": kind, "parent_id": parent}
        given = {name: value for name, value in wanted.items() if value is not None}
        return tuple(map(as_fact, self._session.scalars(newest.filter_by(**given))))

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
            .where(which, free(moment))
            .values(
                status=JobStatus.RUNNING,
                lease_owner=owner,
                lease_until=moment + timedelta(seconds=lease),
                attempt=JobRow.attempt + 1,
                deaths=JobRow.deaths + case((JobRow.status == JobStatus.RUNNING, 1), else_=0),
                started_at=now(self._session),
            )
        )
        job_id = self._session.scalar(taken.returning(JobRow.id))
        return None if job_id is None else self._job(job_id)

    def _requeue(self, job_id: int, owner: str, seconds: float, values: dict[str, Any]) -> bool:
        wanted = JobRow.cancel_requested.is_(True)
        ended = {"status": JobStatus.CANCELLED, "error": cancelled(), **self._ended()}
        stopped = update(JobRow).where(held(job_id, owner), wanted).values(ended)
        if self._session.scalar(stopped.returning(JobRow.id)) is not None:
            return True
        again = {
            "status": JobStatus.QUEUED,
            "run_at": steady(self._session) + timedelta(seconds=seconds),
            "lease_owner": None,
            "lease_until": None,
            **values,
        }
        queued = update(JobRow).where(held(job_id, owner)).values(again).returning(JobRow.id)
        return self._session.scalar(queued) is not None

    def _bury(self, moment: datetime, which: ColumnElement[bool] | None) -> None:
        """End what died and will not be tried again."""
        found = select(JobRow).where(dead(moment), hopeless())
        if which is not None:
            found = found.where(which)
        for row in self._session.scalars(found.with_for_update(skip_locked=True)):
            status, error = verdict(row)
            ended = {"status": status, "error": error, "deaths": row.deaths + 1, **self._ended()}
            self._session.execute(update(JobRow).where(JobRow.id == row.id).values(ended))

    def _ended(self) -> dict[str, Any]:
        return {"finished_at": now(self._session), "lease_until": None}


def _mine(kinds: Iterable[str], place: str) -> ColumnElement[bool]:
    places: Collection[str] = {"", place}
    return and_(JobRow.kind.in_([str(kind) for kind in kinds]), JobRow.place.in_(places))
