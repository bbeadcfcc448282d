"""Components of other repositories, as they stand in a variant."""

from modelhub.facts import Component, RepoId
from modelhub.registry.binding.reference import Known, Reference

__all__ = ["is_own", "moved", "placeholder", "source_beside"]


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
