"""Model cards: what strangers write about their models, brought to bounded JSON values.

The card of a repository is the YAML block at the top of its `README.md`
(https://huggingface.co/docs/hub/model-cards). Nothing in it is trusted; nothing in it may break a
sync, so what is broken or too much is left out, and the log says so.
"""

import logging
import math
from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from modelhub.facts import JsonDict, JsonValue
from modelhub.formats.plain_yaml import MAX_CARD, card_lines, load_bounded

LOG = logging.getLogger(__name__)

_MAX_BYTES = 256 * 1024  # of a card as JSON values, roughly
_MAX_DEPTH = 32
_MAX_TAGS = 1000
_MAX_TAG = 256  # characters
# Tables of benchmark results: they can be most of a card, and nothing here uses them.
_LEFT_OUT = ("model-index",)


class CardFacts(NamedTuple):
    """What a card says in the fields that every hub understands."""

    tags: tuple[str, ...]
    pipeline_tag: str | None
    library_name: str | None
    license: str | None


def clean_card(card: object, repo: str) -> JsonDict:
    """`card` as JSON values that every database can hold; `{}` where it is no mapping.

    Dates become ISO texts, infinities and NaN `None`, NUL and half characters U+FFFD. A field whose
    value is too deep or too large is left out.
    """
    if not isinstance(card, Mapping):
        return {}
    clean: JsonDict = {}
    budget = _Budget(_MAX_BYTES)
    for key, value in card.items():
        name = _text(str(key))
        if name in _LEFT_OUT:
            continue
        before = budget.left
        try:
            clean[name] = budget.take(value, 0)
        except _TooMuchError:
            budget.left = before
            _log(repo, f"the field {name!r:.60} is too large and was left out")
    return clean


def front_matter(readme: str, repo: str) -> JsonDict:
    """The card in the YAML block at the top of a `README.md`; `{}` without one."""
    text = "\n".join(_without_left_out(card_lines(readme)))
    if len(text) > MAX_CARD:
        _log(repo, f"the card is longer than {MAX_CARD} characters and was left out")
        return {}
    return clean_card(_load_yaml(text, repo), repo)


def card_facts(card: JsonDict) -> CardFacts:
    """The common fields of a clean card."""
    return CardFacts(
        clean_tags(card.get("tags")),
        clean_name(card.get("pipeline_tag")),
        clean_name(card.get("library_name")),
        license_name(card, ()),
    )


def clean_tags(tags: object) -> tuple[str, ...]:
    """`tags` as short texts, each once; a single text is a list of one."""
    listed = [tags] if isinstance(tags, str) else tags if isinstance(tags, Iterable) else []
    texts = (_text(tag).strip() for tag in listed if isinstance(tag, str))
    return tuple(dict.fromkeys(tag for tag in texts if 0 < len(tag) <= _MAX_TAG))[:_MAX_TAGS]


def clean_name(value: object) -> str | None:
    """`value` if it is one short text."""
    return next(iter(clean_tags(value)), None) if isinstance(value, str) else None


def license_name(card: JsonDict, tags: Iterable[str]) -> str | None:
    """The licence that a card states, or else its tags: `apache-2.0`, or several by commas."""
    stated = clean_tags(card.get("license"))
    if stated == ("other",) and (name := clean_name(card.get("license_name"))):
        return name
    tagged = tuple(tag.removeprefix("license:") for tag in tags if tag.startswith("license:"))
    return ", ".join(stated or tagged) or None


class _TooMuchError(Exception):
    pass


class _Budget:
    """Copies values while they fit; shared objects count each time, so aliases cannot multiply."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, value: object, depth: int) -> JsonValue:
        self._spend(1)
        if depth > _MAX_DEPTH:
            raise _TooMuchError
        if isinstance(value, str):
            self._spend(len(value))
            return _text(value)
        if isinstance(value, Mapping):
            return {self._key(key): self.take(item, depth + 1) for key, item in value.items()}
        if isinstance(value, set | frozenset):
            value = sorted(value, key=str)
        if isinstance(value, list | tuple):
            return [self.take(item, depth + 1) for item in value]
        return _scalar(value)

    def _key(self, key: object) -> str:
        name = _text(str(key))
        self._spend(len(name))
        return name

    def _spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise _TooMuchError


def _scalar(value: object) -> JsonValue:
    match value:
        case None | bool():
            return value
        case int():
            return value if abs(value) < 1 << 63 else float(value) if abs(value) < 1 << 1000 else None
        case float():
            return value if math.isfinite(value) else None
        case date():  # and datetime
            return value.isoformat()
        case _:
            return None


def _text(text: str) -> str:
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


def _without_left_out(lines: Iterable[str]) -> Iterable[str]:
    """The lines of a YAML mapping without those of the fields in `_LEFT_OUT`."""
    inside = False
    for line in lines:
        if line[:1] not in ("", " ", "\t", "-", "#"):
            inside = line.startswith(tuple(f"{name}:" for name in _LEFT_OUT))
        if not inside:
            yield line


def _load_yaml(text: str, repo: str) -> object:
    import yaml  # type: ignore[import-untyped]  # huggingface_hub brings it, without its types

    try:
        return load_bounded(text)
    except (yaml.YAMLError, ValueError, TypeError, OverflowError, RecursionError) as error:
        _log(repo, f"the card is no YAML that modelhub reads ({type(error).__name__}) and was left out")
        return {}


def _log(repo: str, what: str) -> None:
    LOG.warning("%s: %s", repo, what, extra={"event": "card_reduced", "model_repo_name": repo})
