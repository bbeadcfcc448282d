"""What a recipe's model is in a repository: files as components, components as variants, with evidence."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from modelhub.facts import Component, Evidence, JsonValue, Model, RepoFile, RepoWarning, Variant
from modelhub.refs import Precision
from modelhub.registry.introspect.base import FROM_HEADER, FROM_RECIPE
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.measures import Measure, measure
from modelhub.registry.introspect.naming import repository_name, unique
from modelhub.registry.introspect.recipes.match import Shelf
from modelhub.registry.introspect.recipes.schema import Component as Stated
from modelhub.registry.introspect.recipes.schema import Recipe, RecipeModel
from modelhub.registry.introspect.weight_names import plain_name
from modelhub.registry.introspect.weights import PICKLED, SAFE, WeightSet

__all__ = ["Built", "build_models"]

MAX_MODELS = 256
"""Of one recipe's model; further names are not looked at."""
FORMATS = {
    ".safetensors": SAFE,
    ".onnx": "onnx",
    ".gguf": "gguf",
    **dict.fromkeys((".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth"), PICKLED),
}
_SHARD = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?!00000)(?P<shards>\d{5})\.\w+")

Named = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Key:
    """What tells the variants of a recipe's model apart."""

    model: str
    variant: str
    precision: Precision | None
    format: str


@dataclass(frozen=True, slots=True)
class _Part:
    """A component with what is known of its numbers."""

    component: Component
    measure: Measure | None
    stated: Precision | None


@dataclass(slots=True)
class Built:
    """One model as a recipe sees it. `main` are the files that make it that model, by variant."""

    recipe: Recipe
    stated: RecipeModel
    name: str
    variants: list[Variant] = field(default_factory=list)
    main: dict[str, tuple[RepoFile, ...]] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)

    def model(self) -> Model:
        """It as a model of its own."""
        parameters = max((each.parameters or 0 for each in self.variants), default=0)
        return Model(
            name=self.name,
            task=self.stated.task,
            subtask=self.stated.subtask,
            category=self.stated.category,
            architecture=self.stated.architecture,
            parameters=parameters or None,
            details=self.stated.stated,
            variants=tuple(sorted(self.variants, key=lambda each: (-each.quality, each.name))),
        )


def build_models(
    recipe: Recipe, documents: Documents, shelf: Shelf
) -> tuple[list[Built], list[RepoWarning]]:
    """The models that a recipe describes in a repository, and what is wrong with those that it could not."""
    found: list[Built] = []
    warned: list[RepoWarning] = []
    for stated in recipe.models:
        builder = _Builder(recipe, stated, documents, shelf)
        found += builder.build()
        warned += builder.warnings
    names = unique([each.name] for each in found)
    for each, name in zip(found, names, strict=True):
        each.name = name
    return found, warned


@dataclass
class _Builder:
    recipe: Recipe
    stated: RecipeModel
    documents: Documents
    shelf: Shelf
    warnings: list[RepoWarning] = field(default_factory=list)

    def build(self) -> list[Built]:
        """A model for each name, with a variant for each of its forms."""
        models: dict[str, Built] = {}
        for key, files in self._keys().items():
            name = self._name(key)
            if name not in models and len(models) == MAX_MODELS:
                break
            parts = self._parts(key, files)
            if parts:
                built = models.setdefault(name, Built(self.recipe, self.stated, name))
                self._add(built, key, parts, files)
        return list(models.values())

    def _keys(self) -> dict[_Key, list[RepoFile]]:
        keys: dict[_Key, list[RepoFile]] = {}
        for file, named in self._files(self.stated.main):
            key = _Key(
                model=named.get("model", ""),
                variant=named.get("variant", ""),
                precision=Precision.parse(named.get("precision", "")),
                format=_format(self.stated.main, file) or "",
            )
            keys.setdefault(key, []).append(file)
        # What describes weights (an index, a configuration) makes no variant of its own.
        weights = {key: files for key, files in keys.items() if key.format}
        for key, files in keys.items():
            if not key.format:
                for other in weights:
                    if (key.model, key.variant) == (other.model, other.variant):
                        weights[other] += files
        return weights

    def _files(self, part: Stated) -> Iterator[tuple[RepoFile, Named]]:
        """The files of a component, each by the first pattern that it matches.

        Of files that a pattern does not tell apart but by their folder, the one nearest to the root.
        """
        seen: set[str] = set()
        for text in part.files:
            names: set[tuple[str, ...]] = set()
            for file, named in self.shelf.find(text):
                name = (file.path.name.lower(), *named.values())
                if file.path not in seen and name not in names:
                    seen.add(file.path)
                    names.add(name)
                    yield file, named

    def _name(self, key: _Key) -> str:
        template = self.stated.name or ("{model}" if key.model else "")
        return plain_name(template.replace("{model}", key.model)) or repository_name(
            self.documents.listing.repo.name
        )

    def _parts(self, key: _Key, files: list[RepoFile]) -> dict[str, _Part]:
        """The components of a variant; none where one of them is not whole."""
        parts: dict[str, _Part] = {}
        for name, stated in self.stated.components.items():
            mine = files if stated is self.stated.main else self._beside(stated, key)
            if not mine:
                if stated.optional:
                    continue
                self._incomplete(key, f"there is no {' or '.join(stated.files)}")
                return {}
            if lost := _lost_shards(mine):
                self._incomplete(key, lost)
                return {}
            parts[name] = self._part(name, stated, mine, key)
        return parts

    def _beside(self, stated: Stated, key: _Key) -> list[RepoFile]:
        """Files of another component that go with a variant: what their names say must agree."""
        return [file for file, named in self._files(stated) if _agrees(named, key)]

    def _part(self, name: str, stated: Stated, files: list[RepoFile], key: _Key) -> _Part:
        main = stated is self.stated.main
        kind = key.format if main else next(filter(None, (_format(stated, f) for f in files)), None)
        said = Precision.parse(stated.precision or "")
        if main and key.precision:
            said = key.precision
        weights = tuple(file for file in files if file.path.suffix == ".safetensors")
        measured = measure(self.documents, WeightSet(SAFE, "", weights), _NOTHING) if weights else None
        precision = (measured and measured.precision) or said
        return _Part(
            Component(
                name=name,
                repo=self.documents.listing.repo.id,
                commit=self.documents.listing.commit,
                files=tuple(files),
                folder=_folder(files),
                format=kind,
                precision=precision and precision.value,
                parameters=measured.parameters if measured else None,
            ),
            measured,
            said,
        )

    def _add(self, built: Built, key: _Key, parts: dict[str, _Part], files: list[RepoFile]) -> None:
        first = next(iter(parts.values()))
        taken = [each.name for each in built.variants]
        *_, name = unique([*([each] for each in taken), _variant_names(key, first.component)])
        built.variants.append(
            Variant(
                name=name,
                format=key.format,
                precision=first.component.precision,
                parameters=first.component.parameters,
                components=tuple(part.component for part in parts.values()),
            )
        )
        built.main[name] = tuple(file for file in files if _format(self.stated.main, file))
        for part in parts.values():
            built.evidence += self._evidence(f"variant:{built.name}:{name}", first, part)

    def _evidence(self, variant: str, first: _Part, part: _Part) -> Iterator[Evidence]:
        subject = variant if part is first else f"{variant}:{part.component.name}"

        def row(value: JsonValue, evidence: str, trust: int) -> Evidence:
            return Evidence(
                subject=subject, key="precision", value=value, evidence=evidence, trust=trust
            )

        if part.stated:
            yield row(part.stated.value, self.recipe.evidence, FROM_RECIPE)
        if part.measure and part.measure.precision:
            yield row(part.measure.precision.value, part.measure.source, FROM_HEADER)

    def _incomplete(self, key: _Key, problem: str) -> None:
        text = (
            f"{self._name(key)}, as the recipe {self.recipe.name} knows it: {problem}; it is left out."
        )
        self.warnings.append(RepoWarning(code="recipe.incomplete", text=text))


_NOTHING = Fields("", {}, lambda _problem: None)


def _format(stated: Stated, file: RepoFile) -> str | None:
    """The format of a file of weights; `None` of another."""
    by_suffix = FORMATS.get(file.path.suffix)
    if stated.format and (by_suffix or file.path.suffix not in _NO_WEIGHTS):
        return stated.format
    return by_suffix


_NO_WEIGHTS = frozenset([".json", ".md", ".model", ".txt", ".yaml", ".yml"])
"""What describes weights, also where a format is stated."""


def _agrees(named: Named, key: _Key) -> bool:
    precision = Precision.parse(named.get("precision", "")) or key.precision
    return (
        named.get("model", key.model) == key.model
        and named.get("variant", key.variant) == key.variant
        and precision == key.precision
    )


def _variant_names(key: _Key, first: Component) -> list[str]:
    precision = first.precision or ""
    names = [plain_name(key.variant), f"{plain_name(key.variant)}-{precision}"] if key.variant else []
    names += [precision, precision and f"{key.format}-{precision}", key.format]
    return [name for name in names if name.strip("-")]


def _lost_shards(files: list[RepoFile]) -> str:
    """What is missing of files that are numbered, for people; empty where nothing is."""
    sets: dict[tuple[str, int], set[int]] = {}
    for file in files:
        if found := _SHARD.fullmatch(file.path):
            sets.setdefault((found["stem"], int(found["shards"])), set()).add(int(found["number"]))
    for (stem, shards), numbers in sets.items():
        if len(numbers & set(range(1, min(shards, 10_000) + 1))) < shards:
            return f"of {shards} shards of {stem} there are {len(numbers)}"
    return ""


def _folder(files: list[RepoFile]) -> str:
    """The folder that holds all of them, `""` at the root."""
    folders = [file.path.folder.split("/") for file in files]
    shared = []
    for parts in zip(*folders, strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return "/".join(shared)
