"""Where an answer came from."""

from hashlib import sha256

from modelhub.facts.base import Fact
from modelhub.facts.repo import Commit
from modelhub.refs import Digest


class WeightFile(Fact):
    """A file whose bytes took part in an answer."""

    repo: str
    path: str
    sha256: Digest


class Provenance(Fact):
    """Which bytes, run by what, gave an answer: enough to get the same one again."""

    repo: str
    commit: Commit
    model: str
    variant: str
    runtime: str
    runtime_version: str
    device: str
    files: tuple[WeightFile, ...]

    @property
    def digest(self) -> Digest:
        """One hash for all its files, whatever they are called."""
        return Digest(sha256("".join(sorted(file.sha256 for file in self.files)).encode()).hexdigest())

    def __str__(self) -> str:
        lines = [
            f"{self.repo} at {self.commit[:12]}, variant {self.variant}",
            f"  run by {self.runtime} {self.runtime_version} on {self.device}",
        ]
        lines += [f"  {file.sha256}  {file.path}" for file in self.files]
        return "\n".join(lines)
