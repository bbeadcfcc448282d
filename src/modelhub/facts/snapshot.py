"""A folder that holds a variant's files, verified and linked."""

from pathlib import Path

from modelhub.facts.base import Fact
from modelhub.facts.repo import Commit
from modelhub.refs import Digest, RepoPath


class SnapshotFile(Fact):
    """One verified file of a snapshot; `link` tells how it got there (`hardlink`, `copy` …)."""

    path: RepoPath
    size: int
    sha256: Digest
    link: str


class Snapshot(Fact):
    """A folder as its repository has it, with the files that were asked for.

    `fetched_bytes` moved over the network for it; `reused_bytes` were in the store before. Of a model
    that builds on other repositories `others` are their folders, with what it takes of each; the bytes
    are those of all of them together.
    """

    repo: str
    commit: Commit
    path: Path
    files: tuple[SnapshotFile, ...]
    fetched_bytes: int = 0
    reused_bytes: int = 0
    others: tuple["Snapshot", ...] = ()

    def __fspath__(self) -> str:
        return str(self.path)
