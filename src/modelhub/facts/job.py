"""Long work as a row: what it is, how far it has come, how it ended."""

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from modelhub.facts.base import Fact, JsonDict


class JobKind(StrEnum):
    """What a job does."""

    REPO_SYNC = "repo_sync"
    ARTIFACT_DOWNLOAD = "artifact_download"
    REPO_PURGE = "repo_purge"
    STORE_SCRUB = "store_scrub"


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
    """A job as its row says. `done` and `total` count `unit`s; `error` is `ModelHubError.to_dict()`.

    `owner` is who works at it now: host, process and a mark.
    """

    id: int
    kind: JobKind
    status: JobStatus
    key: str
    input: JsonDict
    output: JsonDict | None = None
    error: JsonDict | None = None
    stage: str = ""
    done: int = 0
    total: int | None = None
    unit: str = "bytes"
    attempt: int = Field(default=0, ge=0)
    owner: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    def __str__(self) -> str:
        share = f", {self.done:,} of {self.total:,} {self.unit}" if self.total else ""
        message = str(self.error.get("message", "")) if self.error else ""
        return f"job {self.id} {self.kind}: {self.status}{share}" + (f": {message}" if message else "")
