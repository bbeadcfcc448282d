"""What a family of repositories is: pure functions from a listing and metadata to models."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

from modelhub.errors import FormatError
from modelhub.facts import Evidence, Model, RepoListing, RepoWarning
from modelhub.formats import GGUFHeader, GGUFTable, ONNXHeader, SafetensorsHeader
from modelhub.refs import RepoPath

__all__ = [
    "FROM_CARD",
    "FROM_CONFIG",
    "FROM_HEADER",
    "FROM_NAME",
    "FROM_RECIPE",
    "Family",
    "Findings",
    "Metadata",
    "Sister",
    "TaskFinding",
    "WithSisters",
]

FROM_HEADER, FROM_CONFIG, FROM_RECIPE, FROM_NAME, FROM_CARD = 100, 80, 60, 50, 30
"""How far evidence is trusted: structure outranks names, and names outrank what people write.

A recipe was written with care, but found the repository by names: it stands between these and structure.
"""


class TaskFinding(NamedTuple):
    """A canonical task id, what it rests on, how far that is trusted, and what tells it apart within
    the task.
    """

    task: str
    evidence: str
    trust: int
    subtask: str | None = None


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was read of a repository: whole small files, and the headers of weight files.

    Either may lack what was asked for; a family then says less. `tables` are of files whose header
    was read in part; `damaged` says of files why their headers were refused; `stated` is what recipes say
    that files are for, of which nothing in the repository says it.
    """

    files: Mapping[str, bytes] = field(default_factory=dict)
    headers: Mapping[str, GGUFHeader | ONNXHeader | SafetensorsHeader] = field(default_factory=dict)
    tables: Mapping[str, GGUFTable] = field(default_factory=dict)
    damaged: Mapping[str, FormatError] = field(default_factory=dict)
    stated: Mapping[str, TaskFinding] = field(default_factory=dict)

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


class Sister(NamedTuple):
    """A file of whose header the tensor table will do, since the rest is like that of others.

    `like` are the files of one model, all shards in order, whose whole headers say where the table
    is and which names it has; of a `shard` it has some of them.
    """

    path: RepoPath
    like: tuple[RepoPath, ...]
    shard: bool = False


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


@runtime_checkable
class WithSisters(Protocol):
    """A family that wants to know of some files no more than their tensors."""

    def sisters_wanted(self, listing: RepoListing) -> tuple[Sister, ...]:
        """The files whose tensor tables `describe` would like to have, none of `headers_wanted`."""
        ...
