"""What the state of a job's row means, as conditions, and the row as a fact."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, bindparam, or_, select
from sqlalchemy.orm import aliased

from modelhub.errors import Cancelled, JobFailed
from modelhub.facts import Job, JobKind, JobStatus, JsonDict
from modelhub.registry.tables import JobRow

MAX_ATTEMPTS = 5
"""How often a job is begun, at most; one that was let go of does not count."""

MAX_DEATHS = 3
"""So many workers may die of a job before it ends as failed."""

LONGEST_LEASE = timedelta(hours=2)
LONGEST_PAUSE = timedelta(minutes=10)
"""What is further away than this was written by a clock that has been set back since, or started anew."""


BRINGING = (JobKind.REPO_SYNC.value, JobKind.ARTIFACT_DOWNLOAD.value)
"""Jobs that bring bytes; into which store, their rows do not say."""


def unfinished() -> ColumnElement[bool]:
    """Queued or running."""
    # As literals, as the partial index has it, or SQLite would not see that the index does.
    states = [JobStatus.QUEUED.value, JobStatus.RUNNING.value]
    return JobRow.status.in_(bindparam(None, states, expanding=True, literal_execute=True))


def free(moment: datetime) -> ColumnElement[bool]:
    """It may be taken."""
    return and_(JobRow.attempt < JobRow.max_attempts, idle(moment))


def idle(moment: datetime) -> ColumnElement[bool]:
    """Nobody works at it: due and queued, or its worker let the lease run out."""
    due = or_(JobRow.run_at <= moment, JobRow.run_at > moment + LONGEST_PAUSE)
    return or_(and_(JobRow.status == JobStatus.QUEUED, due), dead(moment))


def dead(moment: datetime) -> ColumnElement[bool]:
    """Its worker let the lease run out."""
    over = or_(JobRow.lease_until < moment, JobRow.lease_until > moment + LONGEST_LEASE)
    return and_(JobRow.status == JobStatus.RUNNING, over)


def at_work(kinds: Iterable[str], moment: datetime) -> ColumnElement[bool]:
    """It is of one of these kinds, and somebody works at it."""
    return and_(JobRow.status == JobStatus.RUNNING, JobRow.kind.in_(tuple(kinds)), ~dead(moment))


def hopeless() -> ColumnElement[bool]:
    """Of one whose worker has died: it will not be tried again."""
    outer = aliased(JobRow)
    ended = [status.value for status in JobStatus if status.ended]
    orphaned = select(outer.id).where(outer.id == JobRow.parent_id, outer.status.in_(ended)).exists()
    worn_out = or_(JobRow.attempt >= JobRow.max_attempts, JobRow.deaths + 1 >= MAX_DEATHS)
    return or_(JobRow.cancel_requested.is_(True), worn_out, orphaned)


def held(job_id: int, owner: str) -> ColumnElement[bool]:
    """It is this owner's still: nobody took it over when the lease ran out."""
    return and_(JobRow.id == job_id, JobRow.lease_owner == owner, JobRow.status == JobStatus.RUNNING)


def verdict(row: JobRow) -> tuple[JobStatus, JsonDict]:
    """How a hopeless one ends, and what is told of it."""
    if row.cancel_requested:
        return JobStatus.CANCELLED, cancelled()
    if row.attempt < row.max_attempts and row.deaths + 1 < MAX_DEATHS:
        return JobStatus.CANCELLED, Cancelled("the job that it was a part of has ended").to_dict()
    times = f"{row.deaths + 1} times" if row.deaths else "once"
    text = f"its worker died {times}, at last {row.lease_owner}"
    text += f" at {row.stage!r}, {row.done:,} {row.unit} done" if row.stage else ""
    before = row.error.get("message") if row.error else None
    text += f"; before that it failed: {before}" if before else ""
    return JobStatus.FAILED, JobFailed(text, deaths=row.deaths + 1).to_dict()


def cancelled() -> JsonDict:
    """What is told of one that somebody cancelled by its number."""
    return Cancelled("the job was cancelled", by_request=True).to_dict()


def as_fact(row: JobRow) -> Job:
    """What others see of it."""
    return Job(
        id=row.id,
        kind=row.kind,
        status=JobStatus(row.status),
        key=row.dedup_key,
        input=row.input,
        output=row.output,
        error=row.error,
        stage=row.stage,
        done=row.done,
        total=row.total,
        unit=row.unit,
        priority=row.priority,
        attempt=row.attempt,
        deaths=row.deaths,
        parent=row.parent_id,
        owner=row.lease_owner if row.status == JobStatus.RUNNING else None,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
