"""What comparing a store's folder with the database has shown."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table


class FaultKind(StrEnum):
    """What is wrong with something in a store."""

    MISSING = "missing"
    UNKNOWN = "unknown"
    DAMAGED = "damaged"
    UNREAD = "unread"
    WRITABLE = "writable"
    UNLINKED = "unlinked"
    STRANGE = "strange"
    DOOMED = "doomed"
    TABLE = "table"
    TEMP = "temp"
    CLAIM = "claim"
    LEASE = "lease"


class StoreFault(Fact):
    """One thing that is not as it should be: `path` below the store's root (of a lease, its owner), why,
    and what was done about it.

    `left` tells whether it still is so.
    """

    kind: FaultKind
    path: str
    reason: str
    done: str | None = None
    left: bool = True


class StoreCheck(SummedFact):
    """How a store's folder and the database go together.

    `blobs`, with their `bytes`, and `files`, of snapshots, count what was looked at; `hashed` how many blobs
    were read whole. `quarantine` counts damaged files that were put aside, with `quarantine_bytes`: they are
    evidence, and no fault.
    """

    store: str
    blobs: int
    bytes: int
    files: int
    hashed: int
    quarantine: int = 0
    quarantine_bytes: int = 0
    faults: tuple[StoreFault, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        """Whether nothing is left that is wrong."""
        return not self.left

    @property
    def left(self) -> tuple[StoreFault, ...]:
        """What is still wrong."""
        return tuple(fault for fault in self.faults if fault.left)

    def _brief(self) -> Iterable[tuple[str, Any]]:
        counts = {"blobs": self.blobs, "files": self.files, "hashed": self.hashed}
        return (counts | {"faults": len(self.faults), "left": len(self.left)}).items()

    def __str__(self) -> str:
        looked = f"{self.blobs:,} blobs ({human_bytes(self.bytes)}), {self.files:,} files in snapshots"
        lines = [f"{self.store}: {looked}, {self.hashed:,} hashed: {self._verdict()}"]
        if self.quarantine:
            held = f"{self.quarantine:,} damaged files ({human_bytes(self.quarantine_bytes)})"
            lines.append(
                f"quarantine: {held}; modelhub gc deletes what is thirty days old, hub.store.gc(quarantine=0) all"
            )
        rows = [(one.kind, one.path, one.reason, one.done or "") for one in self.faults]
        faults = [table(("", "where", "why", "done"), rows)] if rows else []
        return "\n".join([*lines, *faults])

    def _verdict(self) -> str:
        if not self.faults:
            return "nothing is wrong"
        return f"{len(self.faults)} faults, {len(self.left)} left"
