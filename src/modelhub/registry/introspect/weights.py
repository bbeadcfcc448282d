"""Which files of a repository are one set of weights, by the names that libraries give them.

`transformers.utils`: SAFE_WEIGHTS_NAME, WEIGHTS_NAME and their indexes; `diffusers.utils` has its own. A
*variant* of theirs (here: a mark) stands before the last dot, `model.fp16.safetensors`,
`model.safetensors.index.fp16.json`; shards that were written long ago have it behind their number.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modelhub.errors import FormatError, UnsafePath
from modelhub.facts import RepoFile, RepoWarning
from modelhub.formats import read_index
from modelhub.refs import RepoPath
from modelhub.registry.introspect.documents import Documents

__all__ = [
    "DIFFUSERS",
    "PICKLED",
    "PICKLES_ARE",
    "SAFE",
    "TRANSFORMERS",
    "Found",
    "Naming",
    "WeightSet",
    "find_weights",
    "first_headers",
    "inside",
    "is_weights",
    "pickle_warnings",
    "sets_by_name",
]

SAFE, PICKLED = "safetensors", "pytorch"

PICKLES_ARE = "modelhub makes nothing but plain tensors of them, unless you trust the file's digest."
"""What every warning of pickles says."""

MAX_SETS = 16
MAX_SHARDS_READ = 64
"""Of a set with more shards only the first is looked into, and its parameters are not counted."""


class Naming(NamedTuple):
    """What a library calls its files of weights, without mark, shard and suffix."""

    safetensors: str
    pickles: str


TRANSFORMERS = Naming("model", "pytorch_model")
DIFFUSERS = Naming("diffusion_pytorch_model", "diffusion_pytorch_model")

_STEM = r"(?P<stem>model|pytorch_model|diffusion_pytorch_model)"
_WEIGHTS = re.compile(
    _STEM + r"(?:\.(?P<mark>\w+))?(?:-\d{5}-of-(?P<shards>\d{5})(?:\.(?P<late>\w+))?)?"
    r"\.(?P<suffix>safetensors|bin)"
)
_INDEX = re.compile(
    _STEM + r"\.(?P<suffix>safetensors|bin)(?:\.(?P<late>\w+))?\.index(?:\.(?P<mark>\w+))?\.json"
)


@dataclass(frozen=True, slots=True)
class WeightSet:
    """All weights of a model in one precision: its shards in order.

    `mark` is what transformers calls the variant, `""` for the plain one; `index` says which shard
    has which tensor; `format` is `safetensors`, or `pytorch` for pickles.
    """

    format: str
    mark: str
    files: tuple[RepoFile, ...]
    index: RepoFile | None = None

    @property
    def main(self) -> RepoPath:
        """What the set is called by."""
        return self.index.path if self.index else self.files[0].path


def inside(folder: str, name: str) -> str:
    """The path of a file in a folder of the repository, `""` being its root."""
    return f"{folder}/{name}" if folder else name


class Found(NamedTuple):
    """The sets in a folder, unmarked ones first; the marks of those that are not whole, and why not."""

    sets: tuple[WeightSet, ...] = ()
    broken: frozenset[str] = frozenset()
    warnings: tuple[RepoWarning, ...] = ()


def is_weights(path: RepoPath, naming: Naming) -> bool:
    """Whether a file is one that the library would take for weights, or for the index of some."""
    return _parse(path.name, naming) is not None


def first_headers(paths: Iterable[RepoPath], naming: Naming) -> tuple[RepoPath, ...]:
    """The safetensors files among `paths` whose headers tell what each set of weights is."""
    sets = sets_by_name(paths, naming)
    return tuple(path for each in sets for path in (each if len(each) <= MAX_SHARDS_READ else each[:1]))


def sets_by_name(paths: Iterable[RepoPath], naming: Naming) -> list[list[RepoPath]]:
    """The safetensors files among `paths`, those of a set together and in order."""
    sets: dict[str, list[RepoPath]] = {}
    for path in sorted(paths):
        found = _WEIGHTS.fullmatch(path.name)
        if found and path.suffix == ".safetensors" and found["stem"] == naming.safetensors:
            mark = found["mark"] or found["late"]
            sets.setdefault(f"{path.folder}/{mark}/{found['shards']}", []).append(path)
    return list(sets.values())


def find_weights(documents: Documents, folder: str, naming: Naming) -> Found:
    """The sets of weights in a folder.

    Pickles only where there is no safetensors.
    """
    search = _Search(documents, folder, naming)
    sets = search.sets(SAFE) or search.sets(PICKLED)
    return Found(tuple(sets), frozenset(search.broken), tuple(search.warnings))


def pickle_warnings(sets: Sequence[WeightSet]) -> list[RepoWarning]:
    """What a person should know of those that are pickles."""
    pickles = list(dict.fromkeys(each.main for each in sets if each.format == PICKLED))
    if not pickles:
        return []
    names = ", ".join(pickles[:5]) + ("…" if len(pickles) > 5 else "")
    text = (
        f"{names}: its weights are pickles, which can run code when they are loaded. {PICKLES_ARE} "
        "Look for a repository with safetensors."
    )
    return [RepoWarning(code="format.pickle", text=text)]


class _Search:
    """Looks through one folder."""

    def __init__(self, documents: Documents, folder: str, naming: Naming) -> None:
        self.documents = documents
        self.folder = folder
        self.naming = naming
        self.broken: set[str] = set()
        self.warnings: list[RepoWarning] = []

    def warn(self, code: str, text: str) -> None:
        self.warnings.append(RepoWarning(code=code, text=text))

    def sets(self, kind: str) -> list[WeightSet]:
        marks = sorted(self._marks(kind))[:MAX_SETS]
        found = {mark: self._set(kind, mark) for mark in marks}
        self.broken |= {mark for mark, each in found.items() if each is None}
        return [each for each in found.values() if each]

    def _marks(self, kind: str) -> set[str]:
        suffix = _suffix(kind)
        here = (_parse(file.path.name, self.naming) for file in self.documents.files_in(self.folder))
        return {found.mark for found in here if found and found.suffix == suffix}

    def _set(self, kind: str, mark: str) -> WeightSet | None:
        stem = self.naming.safetensors if kind == SAFE else self.naming.pickles
        suffix = _suffix(kind)
        marked = f"{stem}.{mark}" if mark else stem
        # As the libraries do: a single file comes before shards.
        if single := self._file(f"{marked}.{suffix}"):
            return WeightSet(kind, mark, (single,))
        names = _index_names(f"{stem}.{suffix}", mark)
        index = next(filter(None, map(self._file, names)), None)
        if index is None:
            self._missing(inside(self.folder, names[0]), "the index of its shards is missing")
            return None
        paths = self._shards(index, suffix) or self._shards_by_name(index, marked, suffix)
        if not paths:
            return None
        files = [self.documents.listing.by_path.get(path) for path in paths]
        lost = [path for path, file in zip(paths, files, strict=True) if file is None]
        if lost:
            some = ", ".join(lost[:5]) + ("…" if len(lost) > 5 else "")
            self._missing(index.path, f"{len(lost)} of {len(paths)} shards are missing ({some})")
            return None
        return WeightSet(kind, mark, tuple(filter(None, files)), index)

    def _shards(self, index: RepoFile, suffix: str) -> list[str]:
        """The paths that an index names; none where it cannot be read or must not be believed."""
        data = self.documents.metadata.files.get(index.path)
        if data is None:
            return []
        try:
            names = set(read_index(data, name=index.path).values())
        except (FormatError, UnsafePath) as error:
            self._broken(index, error.message)
            return []
        # An index of safetensors could name a pickle, which would be loaded as one.
        if other := next((name for name in sorted(names) if name.suffix != f".{suffix}"), None):
            self._broken(index, f"it names {other}, which is no .{suffix}")
            return []
        if not names:
            self._broken(index, "it names no file")
        return sorted(inside(self.folder, name) for name in names)

    def _shards_by_name(self, index: RepoFile, marked: str, suffix: str) -> list[str]:
        """What an index that is too large to be read must name, by the first shard's name."""
        if index.path in self.documents.metadata.files:
            return []
        self.documents.json(index.path)  # tells that it was not read
        pattern = re.compile(re.escape(marked) + r"-00001-of-((?!00000)\d{5})\." + suffix)
        for file in self.documents.files_in(self.folder):
            if found := pattern.fullmatch(file.path.name):
                count = int(found[1])
                names = (f"{marked}-{n:05}-of-{count:05}.{suffix}" for n in range(1, count + 1))
                return [inside(self.folder, name) for name in names]
        self._missing(index.path, "its first shard is missing")
        return []

    def _file(self, name: str) -> RepoFile | None:
        return self.documents.listing.by_path.get(inside(self.folder, name))

    def _missing(self, path: str, problem: str) -> None:
        self.warn("shards.missing", f"{path}: {problem}; the variant is left out.")

    def _broken(self, index: RepoFile, problem: str) -> None:
        said = problem.removeprefix(f"{index.path}: ")
        self.warn("metadata.damaged", f"{index.path}: {said}; the variant is left out.")


class _Name(NamedTuple):
    suffix: str
    mark: str


def _parse(name: str, naming: Naming) -> _Name | None:
    """What a file's name says, if it is one of weights or of an index as the library names them."""
    found = _WEIGHTS.fullmatch(name) or _INDEX.fullmatch(name)
    if found is None:
        return None
    stem = naming.safetensors if found["suffix"] == SAFE else naming.pickles
    mark = found["mark"] or found["late"] or ""
    return _Name(found["suffix"], mark) if found["stem"] == stem else None


def _suffix(kind: str) -> str:
    return "safetensors" if kind == SAFE else "bin"


def _index_names(weights: str, mark: str) -> list[str]:
    """How the index of these weights may be called, the usual name first."""
    if not mark:
        return [f"{weights}.index.json"]
    return [f"{weights}.index.{mark}.json", f"{weights}.{mark}.index.json"]
