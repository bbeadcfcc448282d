"""What is remembered of a blob in a store."""

from datetime import datetime
from enum import StrEnum

from modelhub.facts.base import Fact
from modelhub.refs import Digest


class BlobState(StrEnum):
    """What is known of a blob in one store."""

    PRESENT = "present"
    MISSING = "missing"
    QUARANTINED = "quarantined"


class Proof(Fact):
    """What `fstat` said of a file at the moment its whole content was hashed.

    As long as it says the same again on the same host, the content is the same: modification and
    change times, in nanoseconds, move with every write. `host` is the machine that took it;
    `recorded_ns` is when, so that a change within the clock's grain is not trusted.
    """

    host: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    recorded_ns: int


class BlobRecord(Fact):
    """One blob of one store. `path` is relative to the store's root; `size` is in bytes.

    `verified_at` is when `proof` was taken.
    """

    digest: Digest
    size: int
    state: BlobState
    path: str
    proof: Proof | None = None
    verified_at: datetime | None = None
