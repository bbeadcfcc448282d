"""Which repositories a plan takes files from: its own, and those that the model builds on."""

from typing import NamedTuple

from modelhub.facts import Component, Plan, RepoId, Report
from modelhub.refs import RepoPath

__all__ = ["Place", "own_place", "place_of", "places"]


class Place(NamedTuple):
    """A repository at a commit: its source, `vendor/name`, the commit."""

    source: str
    repo: str
    commit: str

    @property
    def id(self) -> RepoId:
        """The repository as the registry knows it."""
        vendor, _, name = self.repo.rpartition("/")
        return RepoId(source=self.source, vendor=vendor, name=name)


def own_place(report: Report) -> Place:
    """Where the report's repository is itself."""
    return Place(report.source, report.repo, report.commit)


def place_of(report: Report, part: Component) -> Place:
    """Where a component of one of the report's models is; the report's own place where that is not known."""
    return Place(part.source or report.source, part.repo, part.commit or report.commit)


def places(report: Report, plan: Plan) -> dict[Place, list[RepoPath]]:
    """The files that a plan needs, by repository, its own first."""
    own = own_place(report)
    names = {part.name for part in plan.components}
    found: dict[Place, list[RepoPath]] = {own: [f.path for f in plan.files if f.component not in names]}
    for part in plan.components:
        if part.files:
            found.setdefault(place_of(report, part), []).extend(file.path for file in part.files)
    return found
