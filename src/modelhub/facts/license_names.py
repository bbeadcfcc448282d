"""Names of licences: how they compare, what is known of them, which contradict each other."""

import re
from collections.abc import Collection, Iterator
from itertools import combinations
from typing import NamedTuple

__all__ = [
    "COPYLEFT",
    "NONCOMMERCIAL",
    "UNNAMED",
    "Stated",
    "disagree",
    "license_codes",
    "license_id",
    "license_names",
    "may_be",
]

COPYLEFT, NONCOMMERCIAL = "license.copyleft", "license.noncommercial"
"""Codes of warnings."""

UNNAMED = frozenset({"other", "unknown"})
"""What says that there is a licence, and not which."""

_ID = re.compile(r"[a-z0-9][a-z0-9.+_-]{0,99}")
_HOW_LATE = re.compile(r"(?<=\d)(?:-only|-or-later|\+)\Z")
_SAME = {
    "apache-2": "apache-2.0",
    "apache2.0": "apache-2.0",
    "apache-license-2.0": "apache-2.0",
    "bsd-3": "bsd-3-clause",
    "bsd-2": "bsd-2-clause",
    "cc0": "cc0-1.0",
    "mit-license": "mit",
}
_FAMILIES = frozenset({"agpl", "apache", "bsd", "cc", "gpl", "lgpl", "openrail"})
"""Names that leave open which licence of several it is."""

_WITH_KNOWN_TEXT = re.compile(
    r"apache-2\.0|mit|bsd-[23]-clause|a?gpl-[23]\.0|lgpl-(?:2\.1|3\.0)|cc-by(?:-nc|-nd|-sa)*-\d\.\d"
    r"|cc0-1\.0|.*openrail.*|llama[\d.]+|gemma"
)
"""Licences whose texts `license_texts` tells from others."""


class Stated(NamedTuple):
    """Licences that one thing states together, and whether that is a licence's own text."""

    names: frozenset[str]
    trusted: bool


def license_id(text: str) -> str:
    """A licence's name as it compares: `GPL-3.0-or-later` is `gpl-3.0`; empty for what is no name."""
    name = "-".join(text.lower().split())
    if not _ID.fullmatch(name):
        return ""
    name = _HOW_LATE.sub("", name)
    return _SAME.get(name, name)


def license_names(value: object) -> frozenset[str]:
    """The licences that a statement names: several are joined by commas.

    What is no name at all is `other`: something is stated, and not what.
    """
    parts = value.split(",") if isinstance(value, str) else ["other"]
    return frozenset(license_id(part) or "other" for part in parts if part.strip())


def license_codes(name: str) -> Iterator[str]:
    """What a licence asks of whoever uses the model, as codes of warnings."""
    if name.startswith(("agpl", "gpl")):
        yield COPYLEFT
    words = re.split(r"[-_.]", name)
    if "nc" in words or "noncommercial" in "".join(words):
        yield NONCOMMERCIAL


def may_be(vague: str, name: str) -> bool:
    """Whether a name that leaves it open may mean this licence."""
    return vague in _FAMILIES and vague in name.split("-")


def disagree(stated: Collection[Stated]) -> bool:
    """Whether two statements cannot both be right."""
    return any(not _agree(one, other) for one, other in combinations(stated, 2))


def _agree(one: Stated, other: Stated) -> bool:
    for first, second in ((one, other), (other, one)):
        if first.names <= UNNAMED:
            # A text that is none of the known ones denies those; another `other` denies nothing.
            known = any(_WITH_KNOWN_TEXT.fullmatch(name) for name in second.names)
            return not (first.trusted and known)
    return _covers(one.names, other.names) and _covers(other.names, one.names)


def _covers(names: frozenset[str], others: frozenset[str]) -> bool:
    return all(
        any(name == other or may_be(name, other) or may_be(other, name) for other in others)
        for name in names
    )
