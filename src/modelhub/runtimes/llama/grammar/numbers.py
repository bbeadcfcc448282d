"""Numbers in a grammar."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.runtimes.llama.grammar.merge import NoAnswer

_MOST_DIGITS = 15
"""More than these no double keeps exactly."""

_LARGEST = 10**_MOST_DIGITS - 1

_DIGITS = f'("0" | [1-9] [0-9]{{0,{_MOST_DIGITS - 1}}})'
_FRACTION = f'("." [0-9]{{1,{_MOST_DIGITS}}})?'
_EXPONENT = '([eE] [-+]? ("0" | [1-9] [0-9]?))?'


def number(schema: Mapping[str, Any]) -> str:
    """Any number; of its limits only that it may not be negative."""
    least = max(schema.get("minimum", -1), schema.get("exclusiveMinimum", -1))
    sign = "" if least >= 0 else '"-"? '
    return f"{sign}{_DIGITS} {_FRACTION} {_EXPONENT}"


def integer(schema: Mapping[str, Any]) -> str:
    """A whole number of at most fifteen digits within its limits.

    Raises:
        NoAnswer: when none is.
    """
    least, most = _limits(schema)
    if (least or 0) > _LARGEST or (most or 0) < -_LARGEST:
        raise NoAnswer(f"whole numbers of more than {_MOST_DIGITS} digits are not written")
    least, most = (None if limit is None or abs(limit) > _LARGEST else limit for limit in (least, most))
    if least is None and most is None:
        return f'"-"? {_DIGITS}'
    parts: list[str] = []
    if least is None or least < 0:
        below = -1 if most is None else min(most, -1)
        bound = None if least is None else -least
        parts += [f'"-" ({part})' for part in _from(-below, bound)]
    if most is None or most >= 0:
        parts += _from(max(least or 0, 0), most)
    if not parts:
        raise NoAnswer("no whole number is between its limits")
    return f"({' | '.join(parts)})"


def _limits(schema: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The least and the most whole number."""
    least = [math.ceil(schema["minimum"])] if "minimum" in schema else []
    if "exclusiveMinimum" in schema:
        least.append(math.floor(schema["exclusiveMinimum"]) + 1)
    most = [math.floor(schema["maximum"])] if "maximum" in schema else []
    if "exclusiveMaximum" in schema:
        most.append(math.ceil(schema["exclusiveMaximum"]) - 1)
    return max(least, default=None), min(most, default=None)


def _from(least: int, most: int | None) -> Iterator[str]:
    """The numbers from `least`, which is not negative, to `most`: a part for each count of digits."""
    digits = len(str(least))
    last = len(str(most)) if most is not None else digits
    for count in range(digits, last + 1):
        low = max(least, 10 ** (count - 1) if count > 1 else 0)
        high = 10**count - 1 if most is None else min(most, 10**count - 1)
        if low <= high:
            yield _between(str(low), str(high))
    if most is None and digits < _MOST_DIGITS:
        yield f"[1-9] [0-9]{{{digits},{_MOST_DIGITS - 1}}}"


def _between(low: str, high: str) -> str:
    """Numbers of as many digits as `low` and `high` both have."""
    if low == high:
        return f'"{low}"'
    first, last, rest = int(low[0]), int(high[0]), len(low) - 1
    if rest == 0:
        return f"[{first}-{last}]"
    if first == last:
        return f'"{first}" ({_between(low[1:], high[1:])})'
    parts = []
    if low[1:] != "0" * rest:
        parts.append(f'"{first}" ({_between(low[1:], "9" * rest)})')
        first += 1
    if high[1:] != "9" * rest:
        parts.append(f'"{last}" ({_between("0" * rest, high[1:])})')
        last -= 1
    if first <= last:
        parts.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    return " | ".join(parts)
