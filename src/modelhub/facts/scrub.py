"""What reading a store's blobs again has shown."""

from collections.abc import Iterable
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table
from modelhub.refs import Digest


class DamagedBlob(Fact):
    """A blob that held other bytes: the hash that it must have, the one that it had, and where those
    bytes lie now, below the store's root. One that could not be `repaired` tells the `reason`, and which
    repositories have it.
    """

    sha256: Digest
    found: str
    kept: str
    repaired: bool
    reason: str = ""
    repositories: tuple[str, ...] = ()


class UnreadBlob(Fact):
    """A blob that the disk did not give: it stays where it is."""

    sha256: Digest
    reason: str


class Scrub(SummedFact):
    """What a scrub of a store has read. `bytes` and `checked` count what was read whole.

    `complete` tells whether nothing is left that was to be read; otherwise the next scrub goes on there,
    since the blob that was hashed longest ago is always the first.
    """

    store: str
    checked: int
    bytes: int
    damaged: tuple[DamagedBlob, ...] = ()
    unread: tuple[UnreadBlob, ...] = ()
    complete: bool

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        """Whether everything that was read is right now."""
        return not self.unread and all(one.repaired for one in self.damaged)

    def _brief(self) -> Iterable[tuple[str, Any]]:
        counts = {"damaged": len(self.damaged), "unread": len(self.unread)}
        return {
            "checked": self.checked,
            "bytes": self.bytes,
            **counts,
            "complete": self.complete,
        }.items()

    def __str__(self) -> str:
        blobs = f"{self.checked:,} blob{'' if self.checked == 1 else 's'}, {human_bytes(self.bytes)}"
        lines = [f"{self.store}: {blobs} read, {len(self.damaged)} damaged"]
        if self.unread:
            lines[0] += f", {len(self.unread)} cannot be read"
        if not self.complete:
            lines.append("There is more: the next scrub goes on with it.")
        rows = [
            ("repaired" if one.repaired else "damaged", one.sha256, one.reason or f"moved to {one.kept}")
            for one in self.damaged
        ]
        rows += [("unread", one.sha256, one.reason) for one in self.unread]
        return "\n".join([*lines, table(("", "sha256", ""), rows)] if rows else lines)
