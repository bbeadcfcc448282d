"""What a family of repositories is: pure functions from a listing and metadata to models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from modelhub.facts import Evidence, Model, RepoListing, RepoWarning
from modelhub.formats import GGUFHeader, ONNXHeader, SafetensorsHeader
from modelhub.refs import RepoPath

__all__ = ["FROM_CARD", "FROM_CONFIG", "FROM_HEADER", "FROM_NAME", "Family", "Findings", "Metadata"]

FROM_HEADER, FROM_CONFIG, FROM_NAME, FROM_CARD = 100, 80, 50, 30
"""How far evidence is trusted: structure outranks names, and names outrank what people write."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was read of a repository: whole small files, and the headers of weight files.

    Either may lack what was asked for; a family then says less.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, GGUFHeader | ONNXHeader | SafetensorsHeader] = field(default_factory=dict)

    def gguf(self, path: str) -> GGUFHeader | None:
        """The GGUF header of a file, if it was read and is one."""
        header = self.headers.get(path)
        return header if isinstance(header, GGUFHeader) else None

    def safetensors(self, path: str) -> SafetensorsHeader | None:
        """The safetensors header of a file, if it was read and is one."""
        header = self.headers.get(path)
        return header if isinstance(header, SafetensorsHeader) else None

    def onnx(self, path: str) -> ONNXHeader | None:
        """The ONNX header of a file, if it was read and is one."""
        header = self.headers.get(path)
        return header if isinstance(header, ONNXHeader) else None


@dataclass(frozen=True, slots=True)
class Findings:
    """What is in a repository, and what that rests on."""

    models: tuple[Model, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    warnings: tuple[RepoWarning, ...] = ()


class Family(Protocol):
    """Repositories that are laid out alike. All methods are pure."""

    @property
    def name(self) -> str:
        """What evidence calls this family."""
        ...

    def matches(self, listing: RepoListing) -> bool:
        """Whether the repository is of this family, by its file names."""
        ...

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        """The weight files whose headers `describe` would like to have."""
        ...

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        """The repository's models."""
        ...
