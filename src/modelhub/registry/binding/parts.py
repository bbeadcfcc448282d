"""Components of other repositories, as they stand in a variant."""

from collections.abc import Iterable

from modelhub.facts import Component, JsonDict, RepoId
from modelhub.facts.memory import TENSOR_BYTES
from modelhub.registry.binding.reference import Known, Reference

__all__ = ["is_own", "moved", "placeholder", "source_beside", "weighed"]


def source_beside(own: RepoId, source: str) -> str:
    """What a component says of where its repository is: nothing, where that goes without saying."""
    return "" if source == own.source else source


def is_own(own: RepoId, part: Component) -> bool:
    """Whether a component is of the repository itself."""
    return not part.source and part.repo == own.id and part.commit is not None


def moved(own: RepoId, part: Component, reference: Reference, known: Known) -> Component:
    """A component of a repository that is referred to, seen from here."""
    source = part.source or known.report.source or reference.source
    return part.model_copy(update={"source": source_beside(own, source)})


def placeholder(own: RepoId, name: str, reference: Reference, known: Known | None) -> Component:
    """A component whose files are not known."""
    return Component(
        name=name,
        repo=known.report.repo if known else reference.repo,
        commit=known.report.commit if known else None,
        files=(),
        source=source_beside(own, reference.source),
    )


def weighed(details: JsonDict, parts: Iterable[Component], *known: JsonDict) -> JsonDict:
    """`details` with the bytes of the tensors in the files of `parts`, by what these and the `known` say."""
    paths = {file.path for part in parts for file in part.files}
    table: JsonDict = {}
    for each in (*known, details):
        counted = each.get(TENSOR_BYTES)
        if isinstance(counted, dict):
            table |= {path: count for path, count in counted.items() if path in paths}
    rest = {key: value for key, value in details.items() if key != TENSOR_BYTES}
    return rest | ({TENSOR_BYTES: table} if table else {})
