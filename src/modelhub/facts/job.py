"""Long work as a row: what it is, how far it has come, how it ended."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from modelhub.facts.base import Fact, JsonDict


class JobKind(StrEnum):
    """What a job does. Those of the first lines are submitted, the others are parts of them, or of a call."""

    SYNC, PULL, VERIFY, PURGE = "sync", "pull", "verify", "purge"
    STORE_SCRUB, STORE_GC = "store_scrub", "store_gc"
    REPO_SYNC = "repo_sync"
    ARTIFACT_DOWNLOAD = "artifact_download"
    REPO_PURGE = "repo_purge"
    STORE_MOVE = "store_move"


class JobStatus(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (JobStatus.QUEUED, JobStatus.RUNNING)


class Job(Fact):
    """A job as its row says. `done` and `total` count `unit`s; `error` is `ModelHubError.to_dict()`: of a
    queued one, why the last attempt failed.

    `kind` is a `JobKind`, or a plain text for one that is not modelhub's own. `attempt` counts how often it
    was begun, `deaths` how many workers died of it; `parent` is the job that it is a part of. `owner` is
    who works at it now: host, process and marks.
    """

    id: int
    kind: Annotated[JobKind | str, Field(union_mode="left_to_right")]
    status: JobStatus
    key: str
    input: JsonDict
    output: JsonDict | None = None
    error: JsonDict | None = None
    stage: str = ""
    done: int = 0
    total: int | None = None
    unit: str = "bytes"
    priority: int = 0
    attempt: int = Field(default=0, ge=0)
    deaths: int = Field(default=0, ge=0)
    parent: int | None = None
    owner: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def __str__(self) -> str:
        share = f", {self.done:,} of {self.total:,} {self.unit}" if self.total else ""
        message = str(self.error.get("message", "")) if self.error else ""
        return f"job {self.id} {self.kind}: {self.status}{share}" + (f": {message}" if message else "")
