"""What a repository's licence and gate mean for whoever uses it."""

from collections.abc import Iterable, Iterator, Sequence

from modelhub.facts import Evidence, Model, RepoListing, RepoWarning
from modelhub.facts.license_names import COPYLEFT, NONCOMMERCIAL, license_codes
from modelhub.facts.licenses import conflicts, license_rows, named
from modelhub.registry.introspect.base import FROM_CARD

__all__ = ["access_warnings", "card_evidence", "license_warnings"]


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


def license_warnings(evidence: Iterable[Evidence], models: Sequence[Model]) -> Iterator[RepoWarning]:
    """What the licences that the evidence names ask of whoever uses the models, and where it disagrees."""
    rows = license_rows(evidence)
    for name in named(rows):
        codes = set(license_codes(name))
        if COPYLEFT in codes:
            yield RepoWarning(
                code="license.copyleft",
                text=f"{name}: what is made from it must be passed on under the same licence.",
            )
        if NONCOMMERCIAL in codes:
            yield RepoWarning(code="license.noncommercial", text=f"{name}: no commercial use.")
    about = [license_rows(rows, model, variant) for model in models for variant in model.variants] or [
        rows
    ]
    for stated in dict.fromkeys(about):
        if conflicts(stated):
            claims = ", ".join(dict.fromkeys(f"{row.value} ({row.evidence})" for row in stated))
            yield RepoWarning(
                code="license.conflict", text=f"Statements about the licence disagree: {claims}."
            )
