"""What hashing a repository's files again has shown."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table
from modelhub.facts.repo import Commit
from modelhub.refs import Digest, RepoPath


class FileState(StrEnum):
    """What has become of a file that was fetched."""

    OK = "ok"
    MISSING = "missing"
    DAMAGED = "damaged"


class VerifiedFile(Fact):
    """One file that is, or was, in the store.

    `sha256` is the hash that it must have, `size` its bytes. Of a damaged one, `found` is the hash
    that it had instead, and `kept` where its bytes lie now, below the store's root.
    """

    path: RepoPath
    size: int
    sha256: Digest
    state: FileState
    found: str | None = None
    kept: str | None = None


class Verification(SummedFact):
    """Whether the files of a repository that were fetched still have the bytes that they had.

    `files` are those that are here or once were; `absent` counts the others that were asked for,
    which were never fetched.
    """

    repo: str
    commit: Commit
    files: tuple[VerifiedFile, ...]
    absent: int = 0

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ok(self) -> bool:
        """Whether nothing is damaged or missing."""
        return not self.damaged and not self.missing

    @property
    def damaged(self) -> tuple[VerifiedFile, ...]:
        """Those that had other bytes, and are out of the way now."""
        return self._in(FileState.DAMAGED)

    @property
    def missing(self) -> tuple[VerifiedFile, ...]:
        """Those that were here once."""
        return self._in(FileState.MISSING)

    def _in(self, state: FileState) -> tuple[VerifiedFile, ...]:
        return tuple(file for file in self.files if file.state is state)

    def _brief(self) -> Iterable[tuple[str, Any]]:
        counts = (len(self.files), len(self.damaged), len(self.missing), self.absent)
        names = ("files", "damaged", "missing", "absent")
        return (("repo", self.repo), ("commit", self.commit[:12]), *zip(names, counts, strict=True))

    def __str__(self) -> str:
        lines = [f"{self.repo} at {self.commit[:12]}: {self._summary()}"]
        lines += [f"! {file.path}: {_what_was_found(file)}" for file in self.damaged]
        if not self.ok:
            lines.append("What is damaged or missing is fetched again by the next pull.")
        rows = [(file.state, human_bytes(file.size), file.path) for file in self.files]
        return "\n".join([*lines, table(("state", "size", "file"), rows)] if rows else lines)

    def _summary(self) -> str:
        counts = {"damaged": len(self.damaged), "missing": len(self.missing)}
        good = len(self.files) - sum(counts.values())
        parts = [f"{good} of {len(self.files)} files are right" if self.files else "none of it is here"]
        parts += [f"{count} {name}" for name, count in counts.items() if count]
        parts += [f"{self.absent} never fetched"] if self.absent else []
        return ", ".join(parts)


def _what_was_found(file: VerifiedFile) -> str:
    return f"its sha256 should be {file.sha256}, but it is {file.found}; it was moved to {file.kept}"
