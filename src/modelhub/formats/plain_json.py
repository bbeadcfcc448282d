"""Small JSON files that strangers wrote: configurations, lists of modules."""

import json
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.reader import HINT

__all__ = ["read_json"]

MAX_ITEMS = 1 << 19
"""Members of all objects and lists together: 16 MiB of empty lists would take half a gigabyte."""


def read_json(data: bytes, *, name: str) -> Any:
    """The value that a JSON file holds.

    Raises:
        FormatError: when it is no JSON in UTF-8, has an object with the same key twice, nests
            deeper than Python does, or has more than `MAX_ITEMS` members.
    """
    # Counted before it is parsed, where marks inside of texts only make it more.
    if sum(map(data.count, (b",", b"[", b"{"))) > MAX_ITEMS:
        raise _error(name, f"it has more than {MAX_ITEMS:,} members")
    try:
        # Decoded here: `json.loads` would guess at other encodings.
        return _DECODER.decode(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise _error(name, f"it is no plain JSON: {error}") from error


def _error(name: str, problem: str) -> FormatError:
    return FormatError(f"{name}: {problem}", hint=HINT, file=name, format="json")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates)
