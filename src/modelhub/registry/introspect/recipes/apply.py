"""What recipes add to what families found: what these leave open, and the models that are of no family."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.facts import Component, Evidence, JsonValue, Model, RepoListing, RepoWarning, Variant
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import FROM_RECIPE, Findings, Metadata, TaskFinding
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.recipes.build import Built, build_models
from modelhub.registry.introspect.recipes.match import Matched, Shelf
from modelhub.registry.introspect.recipes.schema import Recipe, RecipeModel
from modelhub.registry.introspect.weights import PICKLED, PICKLES_ARE

__all__ = ["apply_recipes", "recipe_headers", "stated_tasks"]

MAX_HEADERS = 64
READ_BY_FAMILIES = frozenset(["gguf", "onnx"])
"""Formats whose families see what a recipe cannot: of these it only fills in what they leave open."""


def stated_tasks(matched: Sequence[Matched], listing: RepoListing) -> dict[str, TaskFinding]:
    """What recipes say that single files are for, those that know the repository best first."""
    shelf = Shelf(listing)
    found: dict[str, TaskFinding] = {}
    for recipe, stated in _models(matched):
        task = TaskFinding(stated.task, recipe.evidence, FROM_RECIPE, stated.subtask)
        for text in stated.main.files:
            for file, _ in shelf.find(text):
                found.setdefault(file.path, task)
    return found


def recipe_headers(matched: Sequence[Matched], listing: RepoListing) -> tuple[RepoPath, ...]:
    """The safetensors files that recipes describe. What families read they choose themselves."""
    shelf = Shelf(listing)
    wanted: dict[RepoPath, None] = {}
    for _, stated in _models(matched):
        for part in stated.components.values():
            for text in part.files:
                files = (file.path for file, _ in shelf.find(text))
                wanted |= dict.fromkeys(path for path in files if path.suffix == ".safetensors")
    return tuple(wanted)[:MAX_HEADERS]


def apply_recipes(
    matched: Sequence[Matched], listing: RepoListing, metadata: Metadata, found: Findings
) -> Findings:
    """What families found and what recipes say, together; nothing is described twice."""
    if not matched:
        return found
    applying = _Applying(listing, metadata, found)
    for each in matched:
        applying.apply(each)
    return Findings(tuple(applying.models), tuple(applying.evidence), tuple(applying.warnings()))


@dataclass
class _Applying:
    listing: RepoListing
    metadata: Metadata
    found: Findings
    models: list[Model] = field(init=False)
    evidence: list[Evidence] = field(init=False)
    warned: list[RepoWarning] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.models = list(self.found.models)
        self.evidence = list(self.found.evidence)
        self.shelf = Shelf(self.listing)
        self.documents = Documents(self.listing, self.metadata)
        self.owners: dict[str, int] = {}
        for at, model in enumerate(self.models):
            self._own(model, at)

    def apply(self, matched: Matched) -> None:
        recipe = matched.recipe
        self._say("repository", "recipe", recipe.name, matched.why)
        built, warned = build_models(recipe, self.documents, self.shelf)
        for each in built:
            self._place(each)
        self.warned += warned
        self.warned += [RepoWarning(code=each.code, text=each.text) for each in recipe.warnings]
        if recipe.license and not recipe.models:
            self._license(recipe, "repository")

    def warnings(self) -> Iterator[RepoWarning]:
        """The families' own, then the recipes': of one code only what was told first."""
        yield from self.found.warnings
        told = {each.code for each in self.found.warnings}
        yield from (each for each in self.warned if each.code not in told)
        yield from self._pickles()

    def _place(self, built: Built) -> None:
        """Fill in the models that have its files already; of the rest make one."""
        known: dict[int, None] = {}
        fresh = []
        for variant in built.variants:
            paths = [file.path for file in built.main[variant.name]]
            owners = [self.owners[path] for path in paths if path in self.owners]
            known |= dict.fromkeys(owners)
            if not owners and variant.format not in READ_BY_FAMILIES:
                fresh.append(variant)
        for at in known:
            self._fill(at, built)
        if fresh:
            self._make(built, fresh)

    def _make(self, built: Built, fresh: list[Variant]) -> None:
        model = built.model()
        names = {each.name for each in fresh}
        kept = tuple(each for each in model.variants if each.name in names)
        model = model.model_copy(update={"variants": kept})
        self.models.append(model)
        self._own(model, len(self.models) - 1)
        subjects = [f"variant:{built.name}:{name}" for name in names]
        self.evidence += [
            row
            for row in built.evidence
            if any(row.subject == s or row.subject.startswith(f"{s}:") for s in subjects)
        ]
        self._describe(built, model.name)

    def _fill(self, at: int, built: Built) -> None:
        model, stated = self.models[at], built.stated
        update: dict[str, object] = {}
        if model.task == stated.task:
            update["subtask"] = model.subtask or stated.subtask
        elif self._trust(model) < FROM_RECIPE:
            update |= {"task": stated.task, "subtask": stated.subtask, "category": stated.category}
        else:
            # It is of another kind than the recipe thinks: that is told, and nothing more is believed.
            self._say(f"model:{model.name}", "task", stated.task, built.recipe.evidence)
            return
        self._describe(built, model.name)
        update["architecture"] = model.architecture or stated.architecture
        update["details"] = stated.stated | model.details
        update["variants"] = tuple(_filled(variant, built) for variant in model.variants)
        self.models[at] = model.model_copy(update=update)

    def _describe(self, built: Built, name: str) -> None:
        """The recipe's statements about a model."""
        subject, stated = f"model:{name}", built.stated
        said = {"task": stated.task, "subtask": stated.subtask, "architecture": stated.architecture}
        for key, value in said.items():
            if value:
                self._say(subject, key, value, built.recipe.evidence)
        if built.recipe.license:
            self._license(built.recipe, subject)

    def _license(self, recipe: Recipe, subject: str) -> None:
        if recipe.license:
            evidence = f"recipe: {recipe.name} ({recipe.license.address})"
            self._say(subject, "license", recipe.license.name, evidence)

    def _trust(self, model: Model) -> int:
        """How far what a model's task rests on is trusted."""
        rows = (row for row in self.evidence if row.subject == f"model:{model.name}")
        return max(
            (row.trust for row in rows if row.key == "task" and row.value == model.task),
            default=FROM_RECIPE,
        )

    def _own(self, model: Model, at: int) -> None:
        for variant in model.variants:
            for part, file in variant.files():
                if part.format:
                    self.owners.setdefault(file.path, at)

    def _say(self, subject: str, key: str, value: JsonValue, evidence: str) -> None:
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=FROM_RECIPE)
        )

    def _pickles(self) -> Iterator[RepoWarning]:
        """What a person should know of pickles that only recipes describe."""
        mine = self.models[len(self.found.models) :]
        parts = (part for model in mine for variant in model.variants for part in variant.components)
        files = (file.path for part in parts if part.format == PICKLED for file in part.files)
        names = list(dict.fromkeys(path for path in files if path.suffix != ".json"))
        if names:
            some = ", ".join(names[:5]) + ("…" if len(names) > 5 else "")
            text = f"{some}: pickles, which can run code when they are loaded. {PICKLES_ARE}"
            yield RepoWarning(code="format.pickle", text=text)


def _filled(variant: Variant, built: Built) -> Variant:
    """A variant with the components and the precision that its family does not know of."""
    mine = {file.path for _, file in variant.files()}
    same = next(
        (
            each
            for each in built.variants
            if mine.intersection(file.path for file in built.main[each.name])
        ),
        None,
    )
    if same is None:
        return variant
    taken = {part.name for part in variant.components}
    more = [_without(part, mine) for part in same.components[1:] if part.name not in taken]
    update: dict[str, object] = {
        "components": (*variant.components, *(part for part in more if part.files)),
        "precision": variant.precision or same.precision,
    }
    return variant.model_copy(update=update)


def _models(matched: Sequence[Matched]) -> Iterator[tuple[Recipe, RecipeModel]]:
    return ((each.recipe, stated) for each in matched for stated in each.recipe.models)


def _without(part: Component, taken: set[RepoPath]) -> Component:
    files = tuple(file for file in part.files if file.path not in taken)
    return part.model_copy(update={"files": files})
