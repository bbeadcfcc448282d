"""What forgetting or purging a repository has done, or would do."""

from collections.abc import Iterable
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table
from modelhub.refs import Digest


class Forgotten(Fact):
    """A repository that is in no list any more. What the store has of it stays: `files` of `bytes`."""

    repo: str
    source: str
    files: int
    bytes: int

    def __str__(self) -> str:
        kept = f"{_count(self.files, 'file')} of it, {human_bytes(self.bytes)}, stay in the store"
        return f"{self.repo} is forgotten; {kept if self.files else 'nothing of it is in the store'}"


class StoredFile(Fact):
    """A file of the store. `path` is one that it has in the repository; `size` is in bytes."""

    path: str
    size: int
    sha256: Digest


class KeptFile(StoredFile):
    """A file that stays, since the repositories `users` have the same bytes."""

    users: tuple[str, ...]


class Removal(SummedFact):
    """What purging a repository removed, or, with `dry_run`, would remove.

    `removed` and `kept` are files of this store; `folders` are its snapshots, relative to its root;
    `elsewhere` are other stores that still hold bytes of it. `commits` and `models` count rows.
    """

    repo: str
    source: str
    dry_run: bool
    commits: int
    models: int
    removed: tuple[StoredFile, ...]
    kept: tuple[KeptFile, ...]
    folders: tuple[str, ...]
    elsewhere: tuple[str, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def removed_bytes(self) -> int:
        """Bytes that are gone from the store."""
        return sum(file.size for file in self.removed)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def kept_bytes(self) -> int:
        """Bytes that stay because of others."""
        return sum(file.size for file in self.kept)

    def without(self, spared: Iterable[Digest]) -> "Removal":
        """The same, when some files turned out to be used again."""
        again = set(spared)
        kept = [
            KeptFile(**dict(file), users=("used again meanwhile",))
            for file in self.removed
            if file.sha256 in again
        ]
        removed = tuple(file for file in self.removed if file.sha256 not in again)
        return self.model_copy(update={"removed": removed, "kept": (*self.kept, *kept)})

    def _brief(self) -> Iterable[tuple[str, Any]]:
        names = ("repo", "dry_run", "removed_bytes", "kept_bytes")
        return ((name, getattr(self, name)) for name in names)

    def __str__(self) -> str:
        rows_gone = f"{_count(self.commits, 'commit')}, {_count(self.models, 'model')}"
        lines = [
            f"{self.repo} {'would be' if self.dry_run else 'is'} purged: {rows_gone}, "
            + _count(len(self.folders), "folder"),
            f"removed  {_count(len(self.removed), 'file')}, {human_bytes(self.removed_bytes)}",
            f"kept     {_count(len(self.kept), 'file')}, {human_bytes(self.kept_bytes)}",
        ]
        lines += [f"! {place} still holds bytes of it" for place in self.elsewhere]
        rows = [("removed", human_bytes(file.size), file.path, "") for file in self.removed]
        rows += [
            ("kept", human_bytes(file.size), file.path, f"for {', '.join(file.users)}")
            for file in self.kept
        ]
        if rows:
            lines.append(table(("", "size", "file", ""), rows))
        return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")
