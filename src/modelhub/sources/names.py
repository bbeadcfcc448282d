"""Names that exist, nearest first, for the hints of errors."""

from collections.abc import Iterable
from difflib import SequenceMatcher

_MOST = 1000


def nearest(wanted: str, names: Iterable[str], count: int = 8) -> tuple[str, ...]:
    """The `count` names most like `wanted`, compared without case."""
    known = sorted(set(names))[:_MOST]
    matcher = SequenceMatcher(b=wanted.casefold())

    def likeness(name: str) -> float:
        matcher.set_seq1(name.casefold())
        return matcher.ratio()

    return tuple(sorted(known, key=likeness, reverse=True)[:count])
