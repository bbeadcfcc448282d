"""Python code of a repository that the user has allowed to run."""

from pathlib import Path

from modelhub.facts.base import Fact, human_bytes, table
from modelhub.facts.repo import Commit
from modelhub.refs import Digest, RepoPath


class CodeFile(Fact):
    """A Python file with the bytes that were allowed. `size` is in bytes."""

    path: RepoPath
    size: int
    sha256: Digest


class CodeApproval(Fact):
    """Code that may run, at one commit and with these very bytes. `path` is the folder to read it in."""

    repo: str
    commit: Commit
    path: Path
    files: tuple[CodeFile, ...]

    def __str__(self) -> str:
        rows = [(human_bytes(file.size), file.sha256[:12], file.path) for file in self.files]
        head = f"{self.repo} at {self.commit[:12]} may run, from {self.path}"
        return f"{head}\n\n{table(('size', 'sha256', 'path'), rows)}"
