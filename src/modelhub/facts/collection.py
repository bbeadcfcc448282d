"""What a collection of garbage has deleted, or would delete, and what it leaves alone because of whom."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table
from modelhub.refs import Digest


class GarbageKind(StrEnum):
    """What it is that nobody needs."""

    BLOB = "blob"
    ORPHAN = "orphan"
    RECORD = "record"
    SNAPSHOT = "snapshot"
    PART = "part"
    TABLE = "table"
    QUARANTINE = "quarantine"


class Collected(Fact):
    """Something that is deleted, or would be.

    `path` is relative to the store's root, `name` what it was when it was known. `bytes` are those that its
    deletion frees; `age` is how many seconds ago it was used last.
    """

    kind: GarbageKind
    path: str
    bytes: int
    age: float
    reason: str
    digest: Digest | None = None
    name: str = ""


class Spared(Fact):
    """Blobs that stay, and why: `files` of them with `bytes` together."""

    reason: str
    files: int
    bytes: int


class Collection(SummedFact):
    """What a collection has done to a store, or with `dry_run` would do."""

    store: str
    dry_run: bool
    items: tuple[Collected, ...]
    kept: tuple[Spared, ...] = ()
    missing: tuple[Digest, ...] = ()
    """What the registry knows as present, and is not there: it is fetched again when it is needed."""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bytes(self) -> int:
        """Bytes that are freed."""
        return sum(item.bytes for item in self.items)

    def _brief(self) -> Iterable[tuple[str, Any]]:
        return (
            ("store", self.store),
            ("dry_run", self.dry_run),
            ("items", self.items),
            ("bytes", self.bytes),
        )

    def __str__(self) -> str:
        verb = "would be collected" if self.dry_run else "are collected"
        lines = [f"{len(self.items)} things {verb} from {self.store}: {human_bytes(self.bytes)}"]
        if self.missing:
            lines.append(f"! {len(self.missing)} blobs are on record and not there")
        if self.items:
            rows = [
                (item.kind, human_bytes(item.bytes), _age(item.age), item.name or item.path, item.reason)
                for item in self.items
            ]
            lines.append(table(("what", "size", "unused", "name", "why"), rows))
        if self.kept:
            kept = [(one.reason, f"{one.files:,}", human_bytes(one.bytes)) for one in self.kept]
            lines += ["", table(("kept for", "files", "size"), kept)]
        return "\n".join(lines)


def _age(seconds: float) -> str:
    """`3 d`, `5 h`, `40 min`."""
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} s"
