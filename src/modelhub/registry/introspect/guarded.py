"""A plugin among the families: what it does wrong costs what it would have found, and is told."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from modelhub.facts import RepoListing, RepoWarning
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import Findings, Metadata
from modelhub.registry.introspect.checking import HEADERS, find_fault, wanted_fault
from modelhub.registry.introspect.plugin import Introspector

__all__ = ["BROKEN", "Guarded", "Unusable", "is_broken"]

BROKEN = "family.broken"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unusable:
    """In the place of a plugin that cannot be had: it says so of every repository."""

    name: str
    problem: str

    def matches(self, listing: RepoListing) -> bool:  # noqa: ARG002 - a family's
        """Always: nobody knows which repositories it would have known."""
        return True

    def files_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:  # noqa: ARG002 - a family's
        """None."""
        return ()

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:  # noqa: ARG002 - a family's
        """None."""
        return ()

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:  # noqa: ARG002 - a family's
        """Why it cannot be had."""
        return _broken(self.problem)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A plugin, and what people call it: its name and distribution."""

    plugin: Introspector
    title: str

    @property
    def name(self) -> str:
        """The plugin's."""
        return self.plugin.name

    def matches(self, listing: RepoListing) -> bool:
        """As the plugin says; also where it fails at saying it, which `describe` tells."""
        return self._matches(listing) is not False

    def files_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        """As the plugin says; none where it fails, which `describe` tells."""
        found = self._wanted(listing, self.plugin.files_wanted, ("",))
        return () if isinstance(found, str) else found

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        """As the plugin says; none where it fails, which `describe` tells."""
        found = self._wanted(listing, self.plugin.headers_wanted, HEADERS)
        return () if isinstance(found, str) else found

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        """What the plugin found, if all of it can be believed; else what it did wrong."""
        for early in (
            self._matches(listing),
            self._wanted(listing, self.plugin.files_wanted, ("",)),
            self._wanted(listing, self.plugin.headers_wanted, HEADERS),
        ):
            if isinstance(early, str):
                return self._told(early)
        try:
            found = self.plugin.describe(listing, metadata)
            fault = find_fault(found, listing)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code: any may come
            return self._told(self._failed(listing, error))
        return self._told(fault) if fault else found

    def _matches(self, listing: RepoListing) -> bool | str:
        try:
            found: object = self.plugin.matches(listing)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            return self._failed(listing, error)
        return found if isinstance(found, bool) else "says neither true nor false to whether it matches"

    def _wanted(
        self,
        listing: RepoListing,
        ask: Callable[[RepoListing], tuple[RepoPath, ...]],
        suffixes: tuple[str, ...],
    ) -> tuple[RepoPath, ...] | str:
        try:
            wanted = ask(listing)
            return wanted_fault(wanted, listing, suffixes) or wanted
        except (Exception, SystemExit) as error:  # noqa: BLE001 - as above
            return self._failed(listing, error)

    def _failed(self, listing: RepoListing, error: BaseException) -> str:
        log.warning(
            "introspector_failed",
            exc_info=error,
            extra={"introspector": self.name, "model_repo_name": listing.repo.id},
        )
        return f"failed: {type(error).__name__}: {error!s:.300}"

    def _told(self, fault: str) -> Findings:
        return _broken(f"{self.title} {fault}")


def is_broken(findings: Findings) -> bool:
    """Whether they are of a plugin that is broken."""
    return any(warning.code == BROKEN for warning in findings.warnings)


def _broken(problem: str) -> Findings:
    plain = problem.encode(errors="replace").decode()
    text = f"{plain}. What it would have found is missing; everything else is here."
    return Findings(warnings=(RepoWarning(code=BROKEN, text=text),))
