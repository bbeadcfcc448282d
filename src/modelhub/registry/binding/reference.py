"""What a model refers to, and what became of it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelhub.facts import JsonDict, JsonValue, Model, RepoId, RepoListing, Report
from modelhub.refs import ModelRef

__all__ = [
    "BASE",
    "ELSEWHERE",
    "Known",
    "Outcome",
    "Problem",
    "Reference",
    "part_places",
    "reference_of",
    "references",
]

BASE, ELSEWHERE = "base", "components_elsewhere"
"""Where `Model.details` names other repositories: what an adapter builds on, parts of a pipeline."""

LOCAL, REMOTE = "local", "huggingface"


@dataclass(frozen=True, slots=True)
class Reference:
    """Another repository, at a revision or, without one, at what its default branch means."""

    source: str
    repo: str
    revision: str | None = None

    @property
    def id(self) -> RepoId:
        """The repository as the registry knows it."""
        vendor, _, name = self.repo.rpartition("/")
        return RepoId(source=self.source, vendor=vendor, name=name)

    @property
    def ref(self) -> ModelRef:
        """How a person would name it.

        Raises:
            InvalidReference: for what no repository can be called.
        """
        at = f"@{self.revision}" if self.revision else ""
        return ModelRef.parse(f"{self.source}://{self.repo}{at}")

    def __str__(self) -> str:
        return self.repo + (f" at {self.revision}" if self.revision else "")


@dataclass(frozen=True, slots=True)
class Known:
    """What a reference means: the repository at a commit."""

    report: Report
    listing: RepoListing


@dataclass(frozen=True, slots=True)
class Problem:
    """Why it means nothing; `text` follows the name of the repository."""

    code: str
    text: str


Outcome = Known | Problem


def references(own: RepoId, models: Iterable[Model]) -> tuple[Reference, ...]:
    """The repositories that the models refer to, each once."""
    return tuple(dict.fromkeys(each for model in models for each in _of_model(own, model)))


def reference_of(own: RepoId, place: JsonValue) -> Reference | None:
    """The reference that an entry of the details is."""
    if not isinstance(place, dict) or not isinstance(repo := place.get("repo"), str):
        return None
    revision = place.get("revision")
    source = REMOTE if own.source == LOCAL else own.source
    return Reference(source, repo, revision if isinstance(revision, str) else None)


def part_places(model: Model) -> dict[str, JsonDict]:
    """The parts of a pipeline that are in other repositories, by name."""
    found = model.details.get(ELSEWHERE)
    places = found.items() if isinstance(found, dict) else ()
    return {name: place for name, place in places if isinstance(place, dict)}


def _of_model(own: RepoId, model: Model) -> Iterator[Reference]:
    for place in (model.details.get(BASE), *part_places(model).values()):
        if found := reference_of(own, place):
            yield found
