"""Which model a GGUF file was made of: by its header, the card and the tags."""

import re
from collections.abc import Iterator
from itertools import islice

from modelhub.facts import Evidence, JsonValue, RepoListing
from modelhub.formats import GGUFHeader
from modelhub.registry.introspect.base import FROM_CARD, FROM_HEADER

__all__ = ["base_models", "base_row", "quantized_from", "quantized_row"]

MAX_BASES = 16
MAX_TEXT = 300

_REPOSITORY = re.compile(
    r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/)?([\w.-]+/[\w.-]+?)(?:\.git)?/?"
)
_TAG = "base_model:quantized:"


def base_models(header: GGUFHeader) -> list[str]:
    """What the header calls the model's bases: repositories where it names them, else names.

    They are what the model was trained from, which need not be what was quantized.
    """
    count = min(header.integer("general.base_model.count") or 0, MAX_BASES)
    found = (_base(header, number) for number in range(max(count, 1)))
    return list(dict.fromkeys(name for name in found if name))


def quantized_from(listing: RepoListing) -> list[str]:
    """What the card says was quantized: by the tag for it, else its base models."""
    tagged = [tag.removeprefix(_TAG) for tag in listing.tags if tag.startswith(_TAG)]
    said = listing.card.get("base_model")
    named: list[JsonValue] = said if isinstance(said, list) else [said]
    relation = listing.card.get("base_model_relation") or "quantized"
    found: list[JsonValue] = [*tagged] or (named if relation == "quantized" else [])
    return list(islice(dict.fromkeys(_repositories(found)), MAX_BASES))


def base_row(subject: str, path: str, header: GGUFHeader) -> Iterator[Evidence]:
    """The header's bases as a statement about `subject`."""
    if names := base_models(header):
        source = f"{path}: general.base_model"
        yield _row(subject, "base_model", names, source, FROM_HEADER)


def quantized_row(listing: RepoListing) -> Iterator[Evidence]:
    """What was quantized, as a statement about the repository."""
    if names := quantized_from(listing):
        tagged = any(tag.startswith(_TAG) for tag in listing.tags)
        source = "card: tags" if tagged else "card: base_model, of a GGUF repository"
        yield _row("repository", "quantized_from", names, source, FROM_CARD)


def _row(subject: str, key: str, names: list[str], evidence: str, trust: int) -> Evidence:
    value: JsonValue = list(names)
    return Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)


def _base(header: GGUFHeader, number: int) -> str | None:
    key = f"general.base_model.{number}"
    url = _short(header.text(f"{key}.repo_url"))
    if url:
        found = _REPOSITORY.fullmatch(url)
        return found[1] if found else url
    name, organization = (_short(header.text(f"{key}.{part}")) for part in ("name", "organization"))
    return f"{organization}: {name}" if name and organization else name


def _repositories(said: list[JsonValue]) -> Iterator[str]:
    for name in said:
        found = _REPOSITORY.fullmatch(name) if isinstance(name, str) and len(name) <= MAX_TEXT else None
        if found:
            yield found[1]


def _short(text: str | None) -> str | None:
    return text if text and len(text) <= MAX_TEXT and text.isprintable() else None
