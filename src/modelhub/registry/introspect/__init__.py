"""From a repository's listing and metadata to its models: pure functions, one file a family."""

from collections.abc import Iterator

from modelhub.facts import Evidence, RepoListing, RepoWarning
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import FROM_NAME, Family, Findings, Metadata
from modelhub.registry.introspect.files import classify, metadata_wanted
from modelhub.registry.introspect.gguf import GGUFFamily
from modelhub.registry.introspect.licenses import access_warnings, card_evidence, license_warnings

__all__ = [
    "FAMILIES",
    "Family",
    "Findings",
    "Metadata",
    "classify",
    "find_family",
    "headers_wanted",
    "introspect",
    "metadata_wanted",
]

FAMILIES: tuple[Family, ...] = (GGUFFamily(),)
"""The first that matches a repository describes it."""


def find_family(listing: RepoListing) -> Family | None:
    """The family of a repository, by its file names."""
    return next((family for family in FAMILIES if family.matches(listing)), None)


def headers_wanted(listing: RepoListing) -> tuple[RepoPath, ...]:
    """The weight files whose headers `introspect` would like to have."""
    family = find_family(listing)
    return family.headers_wanted(listing) if family else ()


def introspect(listing: RepoListing, metadata: Metadata) -> Findings:
    """The models of a repository, with the evidence for them and what a person should know."""
    family = find_family(listing)
    found = family.describe(listing, metadata) if family else _unknown(listing)
    evidence = (*card_evidence(listing), *found.evidence)
    warnings = (*access_warnings(listing), *license_warnings(evidence), *found.warnings)
    return Findings(found.models, evidence, warnings)


def _unknown(listing: RepoListing) -> Findings:
    suffixes = ", ".join(_suffixes(listing)) or "no files"
    row = Evidence(
        subject="repository",
        key="family",
        value=None,
        evidence=f"file names: {suffixes}",
        trust=FROM_NAME,
    )
    known = ", ".join(family.name for family in FAMILIES)
    text = f"No model was recognised in its files ({suffixes}). modelhub reads: {known}."
    return Findings(evidence=(row,), warnings=(RepoWarning(code="family.unknown", text=text),))


def _suffixes(listing: RepoListing) -> Iterator[str]:
    yield from sorted({file.path.suffix for file in listing.files if file.path.suffix})[:20]
