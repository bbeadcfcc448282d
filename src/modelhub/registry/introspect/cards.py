"""Whether the card of a repository could be read: the YAML block at the top of its `README.md`."""

from collections.abc import Iterator

from modelhub.facts import RepoListing, RepoWarning
from modelhub.formats.plain_yaml import MAX_CARD, card_lines, load_bounded
from modelhub.registry.introspect.base import Metadata

__all__ = ["card_warnings"]

README = "README.md"


def card_warnings(listing: RepoListing, metadata: Metadata) -> Iterator[RepoWarning]:
    """What is wrong with a card of which the source knows nothing."""
    if listing.card or README not in metadata.files:
        return
    text = "\n".join(card_lines(metadata.files[README].decode("utf-8", "replace")))
    if problem := _problem(text):
        text = f"{README}: its card {problem}; it is passed over, with the tags and the licence in it."
        yield RepoWarning(code="metadata.damaged", text=text)


def _problem(text: str) -> str:
    import yaml  # type: ignore[import-untyped]  # it comes without types

    if len(text) > MAX_CARD:
        return f"is longer than {MAX_CARD:,} characters"
    try:
        found = load_bounded(text)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        return f"is no plain YAML: {' '.join(str(error).split()):.200}"
    return "" if found is None or isinstance(found, dict) else "is no list of fields"
