"""What is written down of loaded models and of the calls that they answer. Never what was said."""

from datetime import datetime
from enum import StrEnum

from modelhub.facts.base import Fact
from modelhub.refs import Digest


class InstanceStatus(StrEnum):
    """Whether a loaded model is asked something right now."""

    IDLE = "idle"
    BUSY = "busy"


class ProcessMark(Fact):
    """A process, told from every other that ever had its number on any host.

    `started` is in clock ticks after boot (`proc(5)`, field 22 of `stat`), `None` where that cannot
    be known.
    """

    host: str
    boot_id: str
    pid: int
    started: int | None = None


class InstanceRecord(Fact):
    """A model that a process has loaded. `digest` names its weights, `config` its options.

    `artifacts` are all files that it was loaded from: they stay in the store as long as it is loaded.
    """

    source: str
    repo: str
    commit: str
    model: str
    variant: str
    digest: str
    config: str
    filename: str | None
    runtime: str
    runtime_version: str
    device: str
    predicted_bytes: int
    measured_bytes: int | None
    process: ProcessMark
    artifacts: tuple[Digest, ...] = ()


class CallStatus(StrEnum):
    """How a call ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"


class CallRecord(Fact):
    """A call that has ended. Sizes are tokens, times milliseconds.

    `error_message` is there for errors whose text cannot hold what somebody said.
    """

    timestamp: datetime
    request_id: str
    task: str
    repo: str
    commit: str | None = None
    variant: str = ""
    digest: str | None = None
    filename: str | None = None
    runtime: str = ""
    instance: int | None = None
    latency_ms: float
    input_size: int | None = None
    output_size: int | None = None
    timings: dict[str, float] | None = None
    status: CallStatus
    error_type: str | None = None
    error_message: str | None = None
