"""Which files of a repository are one set of weights, by the names that transformers gives them.

`transformers.utils`: SAFE_WEIGHTS_NAME, WEIGHTS_NAME and their indexes; a *variant* of theirs (here: a
mark) stands before the last dot, `model.fp16.safetensors`, `model.safetensors.index.fp16.json`.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelhub.errors import FormatError, UnsafePath
from modelhub.facts import RepoFile, RepoListing, RepoWarning
from modelhub.formats import read_index
from modelhub.refs import RepoPath
from modelhub.registry.introspect.documents import Documents

__all__ = [
    "PICKLED",
    "SAFE",
    "WeightSet",
    "find_weights",
    "first_headers",
    "inside",
    "is_weights",
]

SAFE, PICKLED = "safetensors", "pytorch"

MAX_SETS = 16
MAX_SHARDS_READ = 64
"""Of a set with more shards only the first is looked into, and its parameters are not counted."""

_WEIGHTS = re.compile(
    r"(?:model(?:\.(?P<mark>\w+))?(?:-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?\.safetensors"
    r"|pytorch_model(?:\.(?P<mark2>\w+))?(?:-(?P<shard2>\d{5})-of-(?P<shards2>\d{5}))?\.bin)"
)
_INDEX = re.compile(r"(?P<stem>model\.safetensors|pytorch_model\.bin)\.index(?:\.(?P<mark>\w+))?\.json")


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


def is_weights(path: RepoPath) -> bool:
    """Whether a file is one that transformers would take for weights, or for the index of some."""
    return bool(_WEIGHTS.fullmatch(path.name) or _INDEX.fullmatch(path.name))


def first_headers(paths: Iterable[RepoPath]) -> tuple[RepoPath, ...]:
    """The safetensors files among `paths` whose headers tell what each set of weights is."""
    sets: dict[str, list[RepoPath]] = {}
    for path in sorted(paths):
        found = _WEIGHTS.fullmatch(path.name)
        if found and path.suffix == ".safetensors":
            sets.setdefault(f"{path.folder}/{found['mark']}/{found['shards']}", []).append(path)
    return tuple(
        path for each in sets.values() for path in (each if len(each) <= MAX_SHARDS_READ else each[:1])
    )


def find_weights(documents: Documents, folder: str) -> tuple[list[WeightSet], list[RepoWarning]]:
    """The whole sets in a folder, unmarked ones first; a warning for each other.

    Pickles only where there is no safetensors: they are known, and nothing here loads them.
    """
    search = _Search(documents, folder)
    sets = search.sets(SAFE) or search.sets(PICKLED)
    if sets and sets[0].format == PICKLED:
        search.warn(
            "format.pickle",
            f"{sets[0].main}: its weights are pickles, which can run code when they are loaded. "
            "modelhub loads none; look for a repository with safetensors.",
        )
    return sets, search.warnings


class _Search:
    """Looks through one folder."""

    def __init__(self, documents: Documents, folder: str) -> None:
        self.documents = documents
        self.folder = folder
        self.warnings: list[RepoWarning] = []

    def warn(self, code: str, text: str) -> None:
        self.warnings.append(RepoWarning(code=code, text=text))

    def sets(self, kind: str) -> list[WeightSet]:
        marks = sorted(_marks(self.documents.listing, self.folder, kind))[:MAX_SETS]
        found = (self._set(kind, mark) for mark in marks)
        return [each for each in found if each]

    def _set(self, kind: str, mark: str) -> WeightSet | None:
        stem, suffix = _names(kind)
        marked = f"{stem}.{mark}" if mark else stem
        # As transformers does: a single file comes before shards.
        if single := self._file(f"{marked}.{suffix}"):
            return WeightSet(kind, mark, (single,))
        name = f"{stem}.{suffix}.index" + (f".{mark}" if mark else "") + ".json"
        index = self._file(name)
        if index is None:
            self._missing(inside(self.folder, name), "the index of its shards is missing")
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
        for file in self.documents.listing.files:
            found = file.path.folder == self.folder and pattern.fullmatch(file.path.name)
            if found:
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


def _names(kind: str) -> tuple[str, str]:
    return ("model", "safetensors") if kind == SAFE else ("pytorch_model", "bin")


def _marks(listing: RepoListing, folder: str, kind: str) -> Iterator[str]:
    """The marks of the sets of this kind, each once."""
    _, suffix = _names(kind)
    seen = set()
    for file in listing.files:
        if file.path.folder != folder:
            continue
        if found := _WEIGHTS.fullmatch(file.path.name):
            mark = found["mark"] or found["mark2"] or ""
        elif found := _INDEX.fullmatch(file.path.name):
            mark = found["mark"] or ""
        else:
            continue
        if f".{suffix}" in file.path.name and mark not in seen:
            seen.add(mark)
            yield mark
