"""What a cache of other tools has given to the store, and got from it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table


class RejectedFile(Fact):
    """Something that was not adopted: `path` below the cache, and why."""

    path: str
    reason: str


class AdoptedCommit(Fact):
    """What of a commit the store has now: `adopted` files of `bytes` bytes came, `present` were here already.

    `known` tells whether this commit was synced: if not, the next sync finds these bytes by their hashes.
    """

    repo: str
    commit: str
    adopted: int
    present: int
    bytes: int
    known: bool


class Adoption(SummedFact):
    """What of a cache is in the store now. `bytes` counts what came, each file once."""

    cache: str
    store: str
    commits: tuple[AdoptedCommit, ...]
    bytes: int
    rejected: tuple[RejectedFile, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def adopted(self) -> int:
        """How many files came."""
        return sum(one.adopted for one in self.commits)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def present(self) -> int:
        """How many files were here already."""
        return sum(one.present for one in self.commits)

    def _brief(self) -> Iterable[tuple[str, Any]]:
        counts = {"adopted": self.adopted, "present": self.present, "rejected": len(self.rejected)}
        return {"cache": self.cache, "bytes": self.bytes, **counts}.items()

    def __str__(self) -> str:
        came = f"{self.adopted:,} files adopted ({human_bytes(self.bytes)})"
        lines = [f"{self.cache}: {came}, {self.present:,} here already, {len(self.rejected):,} rejected"]
        if self.commits:
            rows = [
                (
                    one.repo,
                    one.commit[:12],
                    one.adopted,
                    one.present,
                    human_bytes(one.bytes),
                    "" if one.known else "sync it next",
                )
                for one in self.commits
            ]
            lines.append(table(("repository", "commit", "adopted", "here", "bytes", ""), rows))
        if self.rejected:
            rows_of_rejected = [(one.path, one.reason) for one in self.rejected]
            lines.append(table(("rejected", "why"), rows_of_rejected))
        return "\n".join(lines)


class ExportedCommit(Fact):
    """A snapshot that was put into a cache: its folder, its files, their bytes, and how many of these were
    copied, since no link could be made.
    """

    repo: str
    commit: str
    path: Path
    files: int
    bytes: int
    copied_bytes: int


class Export(Fact):
    """What a cache of huggingface_hub has got: the model's own commit first, then those that it builds on."""

    cache: str
    commits: tuple[ExportedCommit, ...]

    @property
    def path(self) -> Path:
        """The folder of the model's own files."""
        return self.commits[0].path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        rows = [
            (one.repo, one.commit[:12], one.files, human_bytes(one.bytes), human_bytes(one.copied_bytes))
            for one in self.commits
        ]
        shown = table(("repository", "commit", "files", "bytes", "copied"), rows)
        return f"{self.cache}\n{shown}"
