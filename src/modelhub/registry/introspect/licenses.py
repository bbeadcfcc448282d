"""What a repository's licence and gate mean for whoever uses it."""

from collections.abc import Iterable, Iterator

from modelhub.facts import Evidence, RepoListing, RepoWarning
from modelhub.registry.introspect.base import FROM_CARD

__all__ = ["access_warnings", "card_evidence", "license_warnings"]

_COPYLEFT = ("agpl", "gpl")


def card_evidence(listing: RepoListing) -> Iterator[Evidence]:
    """What the card says of the whole repository."""
    said = {
        "license": listing.license,
        "pipeline_tag": listing.pipeline_tag,
        "library_name": listing.library_name,
        "base_model": listing.card.get("base_model"),
    }
    for key, value in said.items():
        if value:
            yield Evidence(
                subject="repository", key=key, value=value, evidence=f"card: {key}", trust=FROM_CARD
            )


def access_warnings(listing: RepoListing) -> Iterator[RepoWarning]:
    """Whether the files are there for everybody."""
    if listing.gated:
        yield RepoWarning(
            code="gated",
            text="Its owner grants access person by person: accept the conditions on its page, "
            "then use a token of that account.",
        )


def license_warnings(evidence: Iterable[Evidence]) -> Iterator[RepoWarning]:
    """What the licences that the evidence names ask of whoever uses the model."""
    licenses = {
        str(row.value).strip().lower(): row.evidence
        for row in evidence
        if row.key == "license" and row.value
    }
    for license_id in sorted(licenses):
        if license_id.startswith(_COPYLEFT):
            yield RepoWarning(
                code="license.copyleft",
                text=f"{license_id}: what is made from it must be passed on under the same licence.",
            )
        if "nc" in license_id.split("-"):
            yield RepoWarning(code="license.noncommercial", text=f"{license_id}: no commercial use.")
    if len(licenses) > 1:
        claims = ", ".join(f"{name} ({source})" for name, source in sorted(licenses.items()))
        yield RepoWarning(code="license.contradictory", text=f"Different licences are stated: {claims}.")
