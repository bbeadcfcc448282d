"""What is in a repository: models, their variants, the components of each."""

from collections.abc import Collection, Iterable
from typing import Any

from pydantic import Field, computed_field

from modelhub.facts.base import Fact, JsonDict, JsonValue, SummedFact, human_bytes, table
from modelhub.facts.repo import Commit, RepoFile
from modelhub.facts.sharing import Sharing
from modelhub.refs import Precision


class RepoWarning(Fact):
    """Something a person should know before using a repository.

    `code` is stable (`license.copyleft`, `gated`, …); `text` is for people.
    """

    code: str
    text: str


class Evidence(Fact):
    """One statement about a repository and what it rests on. Contradictions are two of these.

    `trust` orders them: 100 read from the file's own structure, 80 from a config file, 50 from a
    file name, 30 from the card.
    """

    subject: str
    key: str
    value: JsonValue
    evidence: str
    trust: int = Field(ge=0, le=100)


class Component(SummedFact):
    """One part of a variant, such as `model`, `vae` or `tokenizer`.

    `files` are paths inside `repo` (`vendor/name`) at `commit`; `folder` is the folder that holds
    them, `""` at the repository's root. `source` is where `repo` is, `""` the source of the
    repository that the variant was found in. `commit` is `None` for another repository whose commit
    nothing says. `parameters` counts weights, where known.
    """

    name: str
    repo: str
    commit: Commit | None
    files: tuple[RepoFile, ...]
    source: str = ""
    folder: str = ""
    format: str | None = None
    precision: str | None = None
    parameters: int | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bytes(self) -> int:
        """The sizes of its files, added up."""
        return sum(file.size for file in self.files)


class Variant(SummedFact):
    """A runnable form of a model: one precision in one file format."""

    name: str
    format: str
    precision: str | None = None
    parameters: int | None = None
    components: tuple[Component, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bytes(self) -> int:
        """Bytes on disk of all its components."""
        return sum(component.bytes for component in self.components)

    @property
    def quality(self) -> int:
        """Higher is better, by precision; an unknown precision is the lowest."""
        precision = Precision.parse(self.precision or "")
        return precision.quality if precision else 0

    def without(self, names: Collection[str]) -> "Variant":
        """The variant with none of the components of these names."""
        kept = tuple(part for part in self.components if part.name not in names)
        return self if kept == self.components else self.model_copy(update={"components": kept})

    def files(self) -> Iterable[tuple[Component, RepoFile]]:
        """Every file with its component."""
        return ((part, file) for part in self.components for file in part.files)


class Model(Fact):
    """Something that can be run, with the forms in which its repository holds it.

    `task` is a Hugging Face pipeline tag; `context_length` is in tokens; `details` keeps what the
    family read beyond that (architecture, layers, heads …) for runtimes and estimates.
    """

    name: str
    task: str
    subtask: str | None = None
    category: str
    architecture: str | None = None
    context_length: int | None = None
    parameters: int | None = None
    details: JsonDict = Field(default_factory=dict)
    variants: tuple[Variant, ...]


class Report(Fact):
    """What `hub.inspect` knows of a repository. No weight was fetched for it.

    `shared` are the other registered repositories that have some of its bytes, those with the most first.
    """

    repo: str
    source: str
    commit: Commit
    license: str | None = None
    warnings: tuple[RepoWarning, ...] = ()
    models: tuple[Model, ...] = ()
    facts: tuple[Evidence, ...] = ()
    shared: tuple[Sharing, ...] = ()

    def _brief(self) -> Iterable[tuple[str, Any]]:
        return (
            ("repo", self.repo),
            ("commit", self.commit[:12]),
            ("models", [f"{model.name} ({model.task})" for model in self.models]),
        )

    def __str__(self) -> str:
        lines = [f"{self.repo} at {self.commit[:12]}, license {self.license or 'not stated'}"]
        lines += [f"! {warning.code}: {warning.text}" for warning in self.warnings]
        lines += [str(each) for each in self.shared]
        for model in self.models:
            lines += ["", _heading(model), *self._disputed(model), table(_COLUMNS, _rows(model))]
        return "\n".join(lines if self.models else [*lines, "no model recognised in its files"])

    def _disputed(self, model: Model) -> Iterable[str]:
        """What is said of a model in contradiction, the most trusted first."""
        for key in _DISPUTED:
            rows = [row for row in self.facts if (row.subject, row.key) == (f"model:{model.name}", key)]
            said: dict[str, Evidence] = {}
            for row in sorted(rows, key=lambda row: -row.trust):
                said.setdefault(str(row.value), row)
            if len(said) > 1:
                yield f"{key}: " + ", not ".join(f"{v} ({row.evidence})" for v, row in said.items())


_DISPUTED = ("task", "subtask", "architecture")
"""What is shown where statements disagree; licences, layouts and precisions have warnings of their own."""

_COLUMNS = ("variant", "format", "precision", "parameters", "size", "components")


def _heading(model: Model) -> str:
    facts = [model.task, model.architecture or ""]
    if model.context_length:
        facts.append(f"context {model.context_length:,} tokens")
    return f"{model.name}: " + ", ".join(filter(None, facts))


def _shown(part: Component) -> str:
    return part.name if part.files else f"{part.name} (not known)"


def _rows(model: Model) -> Iterable[tuple[object, ...]]:
    for variant in model.variants:
        yield (
            variant.name,
            variant.format,
            variant.precision or "unknown",
            f"{variant.parameters:,}" if variant.parameters else "",
            human_bytes(variant.bytes),
            ", ".join(map(_shown, variant.components)),
        )
