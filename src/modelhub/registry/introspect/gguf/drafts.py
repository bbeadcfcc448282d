"""Draft models: small ones that guess what a large one will say, which only has to check it.

Names as llama.cpp knows them (`ggml-org/llama.cpp: common/download.cpp`, `find_best_mtp` and those
beside it) and as people write them; architectures that work with another model alone
(`src/llama-context.cpp` there, where `ctx_other` is asked for).
"""

import re
from collections.abc import Iterable

from modelhub.facts import RepoListing
from modelhub.formats import GGUFHeader
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import FROM_CARD, FROM_HEADER, FROM_NAME

__all__ = ["DRAFT", "draft_evidence", "is_draft_of"]

DRAFT = "draft model"

_NAME = re.compile(
    r"(?:^|[-._])(?:draft(?:er)?|eagle[23]?)(?=$|[-._])|(?:^|[-._])(?:mtp|dflash|dspark)[-_]"
)
_ARCHITECTURES = frozenset(["dflash", "eagle", "eagle3", "gemma4-assistant", "gemma4_assistant"])
_TAG = re.compile(r"(?:speculative[-_ ]decoding[-_ ])?draft(?:[-_ ]model)?")


def draft_evidence(
    path: RepoPath, header: GGUFHeader | None, listing: RepoListing
) -> tuple[str, int] | None:
    """What says that a file is a draft model, and how far that is trusted; `None` if nothing does."""
    if header is not None and header.architecture in _ARCHITECTURES:
        return f"{path}: general.architecture: {header.architecture}", FROM_HEADER
    if _NAME.search(path.name.lower()):
        return f"{path}: file name", FROM_NAME
    tag = next((tag for tag in listing.tags if _TAG.fullmatch(tag.lower())), None)
    return (f"card: tag {tag}", FROM_CARD) if tag else None


def is_draft_of(draft: GGUFHeader | None, main: GGUFHeader | None) -> bool:
    """Whether nothing that is known forbids it: the two must have the same tokens."""
    if draft is None or main is None:
        return True
    lengths = [header.length("tokenizer.ggml.tokens") for header in (draft, main)]
    kinds = [header.text("tokenizer.ggml.model") for header in (draft, main)]
    return _alike(lengths) and _alike(kinds)


def _alike(values: Iterable[object]) -> bool:
    return len({value for value in values if value is not None}) < 2
