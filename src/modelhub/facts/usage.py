"""How much of a store each repository has, and what sharing saves."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from modelhub.facts.base import Fact, human_bytes, table


class ComponentUsage(Fact):
    """What a component has of the store, in all variants and commits: `text_encoder`, `vae` …"""

    name: str
    files: int
    bytes: int


class RepoUsage(Fact):
    """What a repository has of the store. `own` are the bytes that nobody else has: those that its purge would
    free. `last_used` is exact to the hour.
    """

    repo: str
    source: str
    forgotten: bool
    pinned: bool = False
    files: int
    bytes: int
    own: int
    components: tuple[ComponentUsage, ...] = ()
    last_used: datetime | None = None


class Usage(Fact):
    """What a store holds, in bytes. Where one repository was asked for, `repos` has it alone.

    `files` of `bytes` are stored; `used` of these bytes some repository has. `saved` would be needed besides if
    every repository had files of its own. `copies` lie in snapshots beside
    them; `parts` are downloads that are not complete, by what they take; `quarantine` is damaged and was put
    aside. `disk` is what the whole folder takes, `free` what its disk has left, `quota` what the store may hold.
    `lower` are the stores below it, whose bytes are not counted: they take no room here.
    """

    store: str
    files: int
    bytes: int
    used: int
    saved: int
    repos: tuple[RepoUsage, ...]
    copies: int
    parts: int
    quarantine: int
    disk: int
    free: int | None = None
    quota: int | None = None
    lower: tuple[str, ...] = ()

    def _brief(self) -> Iterable[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in ("store", "files", "bytes", "saved", "disk"))

    def __str__(self) -> str:
        rows = []
        for repo in self.repos:
            mark = " (forgotten)" * repo.forgotten + " (pinned)" * repo.pinned
            rows.append((f"{repo.repo}{mark}", f"{repo.files:,}", _size(repo.bytes), _size(repo.own)))
            rows += [
                (f"  {one.name}", f"{one.files:,}", _size(one.bytes), "") for one in repo.components
            ]
        lines = [table(("repository", "files", "size", "own"), rows), ""] if rows else []
        return "\n".join([*lines, *self._summary()])

    def _summary(self) -> Iterable[str]:
        yield f"{self.files:,} files in {self.store}: {_size(self.bytes)}; sharing saves {_size(self.saved)}"
        more = {"copies in snapshots": self.copies, "incomplete": self.parts, "damaged": self.quarantine}
        more["of no repository"] = self.bytes - self.used
        if any(more.values()):
            yield "; ".join(f"{_size(size)} {name}" for name, size in more.items() if size)
        room = f"{_size(self.disk)} on disk"
        if self.free is not None:
            room += f", {_size(self.free)} free"
        yield room if self.quota is None else f"{room}, quota {_size(self.quota)}"
        if self.lower:
            yield f"read below it, and not counted: {', '.join(self.lower)}"


def _size(count: int) -> str:
    return human_bytes(count)
