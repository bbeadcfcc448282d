"""What of a repository is of which part of a pipeline: its weights in their forms, its other files.

diffusers loads a part from the folder of its name, or from the root where there is no such folder. In
the variant that is asked for, it takes the weights with that mark where a part has any, else those
without (`diffusers.pipelines.pipeline_loading_utils`: variant_compatible_siblings, load_sub_model).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.facts import FileKind, RepoFile, RepoWarning
from modelhub.registry.introspect.diffusers.index import Part
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.files import classify
from modelhub.registry.introspect.weights import (
    DIFFUSERS,
    TRANSFORMERS,
    Found,
    Naming,
    WeightSet,
    find_weights,
    inside,
    is_weights,
)

__all__ = ["DENOISER", "Holding", "find_holdings"]

MAX_FILES = 1000
"""Of a part without weights."""

_WITHOUT_WEIGHTS = re.compile(
    r".*(?:FeatureExtractor|Guidance|Guider|Processor(?:Fast)?|Scheduler|Tokenizer(?:Fast)?)"
)
DENOISER = re.compile(r"(?:denoiser|dit|transformer|unet)(?:_\d+)?")
_DENOISER_TYPE = re.compile(r".*(?:DiT|Transformer|UNet)\w*")


@dataclass(frozen=True, slots=True)
class Holding:
    """What a repository holds of one part: weights, or else other files; `config` is its `config.json`."""

    part: Part
    folder: str
    config: Fields
    weights: Found
    beside: tuple[RepoFile, ...]

    @property
    def denoises(self) -> int:
        """Whether it is what takes the noise away: 2 by its name, 1 by its class, 0 if it is not."""
        if DENOISER.fullmatch(self.part.name):
            return 2
        ours = self.part.library == "diffusers"
        return int(ours and bool(_DENOISER_TYPE.fullmatch(self.part.type)))

    @property
    def marks(self) -> set[str]:
        """The variants that it has weights of its own for."""
        if self.part.mark is not None:
            return set()
        return {each.mark for each in self.weights.sets} | self.weights.broken

    def choose(self, mark: str) -> WeightSet | None:
        """Its weights in a variant: those with its mark, else those without; never another's."""
        wanted = mark if self.part.mark is None else self.part.mark
        sets = {each.mark: each for each in self.weights.sets}
        if wanted in self.weights.broken:
            return sets.get(wanted)
        return sets.get(wanted) or sets.get("")


def find_holdings(
    documents: Documents, parts: Sequence[Part]
) -> tuple[list[Holding] | None, list[RepoWarning]]:
    """What the repository holds of each part, `None` where a model lacks its weights, and what to tell."""
    finder = _Finder(documents)
    # Models first: what else stands in a model's folder is what it leaves.
    found = {part.name: finder.find(part) for part in sorted(parts, key=_is_plain)}
    held = (found[part.name] for part in parts)
    return None if finder.lacking else [each for each in held if each], finder.warnings


@dataclass
class _Finder:
    documents: Documents
    lacking: bool = False
    warnings: list[RepoWarning] = field(default_factory=list)
    taken: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for file in self.documents.listing.files:
            folder = file.path.folder
            while folder and folder not in self.folders:
                self.folders.add(folder)
                folder = folder.rpartition("/")[0]

    def find(self, part: Part) -> Holding | None:
        folder = part.folder if part.folder in self.folders else ""
        config = self.documents.fields(inside(folder, "config.json"))
        plain = _is_plain(part)
        weights = Found() if plain else self._weights(part, folder)
        if weights.sets or weights.broken:
            return self._model(part, folder, config, weights)
        if not plain and (not folder or config or self._has_other_weights(folder)):
            self._lack(part, folder)
            return None
        return self._without_weights(part, folder, config)

    def _weights(self, part: Part, folder: str) -> Found:
        here = self.documents.files_in(folder)
        for naming in _namings(part.library):
            if any(is_weights(file.path, naming) for file in here):
                return find_weights(self.documents, folder, naming)
        return Found()

    def _model(self, part: Part, folder: str, config: Fields, weights: Found) -> Holding | None:
        self.warnings += weights.warnings
        files = [file for each in weights.sets for file in each.files]
        if other := next((self.taken[f.path] for f in files if f.path in self.taken), None):
            self.documents.tell(f"{part.name}: its weights are those of {other}")
            return None
        if inside(folder, "config.json") not in self.documents.listing.by_path:
            self.documents.tell(f"{inside(folder, 'config.json')}: it is missing")
        beside = [inside(folder, name) for name in ("config.json", "generation_config.json")]
        known = self.documents.listing.by_path
        return self._held(
            part, folder, config, weights, [known[path] for path in beside if path in known]
        )

    def _without_weights(self, part: Part, folder: str, config: Fields) -> Holding | None:
        found = list(self._files(part, folder))[:MAX_FILES]
        if not found:
            self.documents.tell(f"{part.name}: none of its files is here")
            return None
        return self._held(part, folder, config, Found(), found)

    def _held(
        self, part: Part, folder: str, config: Fields, weights: Found, beside: Sequence[RepoFile]
    ) -> Holding:
        """Each file counts once: it is of the part that is listed first."""
        free = tuple(file for file in beside if file.path not in self.taken)
        sets = [file for each in weights.sets for file in (*each.files, each.index) if file]
        for file in (*free, *sets):
            self.taken[file.path] = part.name
        return Holding(part, folder, config, weights, free)

    def _files(self, part: Part, folder: str) -> Iterator[RepoFile]:
        if not folder:
            yield from (f for f in self.documents.files_in("") if _is_of(part.type, f))
            return
        inner = (file for file in self.documents.listing.files if file.path.startswith(f"{folder}/"))
        yield from (f for f in inner if classify(f.path) not in (FileKind.CODE, FileKind.MODEL))

    def _has_other_weights(self, folder: str) -> bool:
        return any(classify(file.path) is FileKind.MODEL for file in self.documents.files_in(folder))

    def _lack(self, part: Part, folder: str) -> None:
        self.lacking = True
        where = f"In {folder}" if folder else f"For {part.name}"
        text = f"{where} there are no weights of a kind that modelhub reads."
        self.warnings.append(RepoWarning(code="weights.missing", text=text))


def _is_plain(part: Part) -> bool:
    """Whether a part is of a class that has no weights."""
    return bool(_WITHOUT_WEIGHTS.fullmatch(part.type))


def _namings(library: str) -> tuple[Naming, ...]:
    """How the weights of a part may be called: a class of a pipeline's own module may be of either kind."""
    one = {"transformers": (TRANSFORMERS,), "diffusers": (DIFFUSERS,)}
    return one.get(library, (DIFFUSERS, TRANSFORMERS))


def _is_of(kind: str, file: RepoFile) -> bool:
    """Whether a file at the root is of a part of this class, which has no weights."""
    if "Scheduler" in kind:
        return file.path.name == "scheduler_config.json"
    tokens = classify(file.path) is FileKind.TOKENIZER
    return tokens or ("Tokenizer" not in kind and file.path.name.endswith("processor_config.json"))
