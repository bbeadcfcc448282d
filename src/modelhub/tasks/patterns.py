"""Regular expressions of strangers: a subset that every engine matches in linear time.

What RE2 (https://github.com/google/re2/wiki/Syntax) takes, anchored at both ends as llama.cpp's grammars
need it, and without a repeat inside a repeat, which engines that backtrack take exponential time for.
"""

import re
from functools import lru_cache
from typing import Any

MAX_PATTERN = 256
_MEMORY = 1 << 20
_REPEAT = re.compile(r"((?P<endless>[*+]|\{\d+,\})|\?|\{\d+(,\d+)?\})[?+]?")


def pattern_problem(pattern: str) -> str:
    """What is wrong with a pattern, for people; empty when nothing is."""
    if len(pattern) > MAX_PATTERN:
        return f"it has {len(pattern)} characters, and at most {MAX_PATTERN} are taken"
    try:
        compiled(pattern)
    except ValueError as error:
        return str(error)
    if _repeats_a_repeat(pattern):
        return "it repeats what repeats, as in (a+)+"
    if not (pattern.startswith("^") and pattern.endswith("$") and not pattern.endswith("\\$")):
        return "it must begin with ^ and end with $, since the whole text is bound by it"
    return ""


@lru_cache(maxsize=256)
def compiled(pattern: str) -> Any:
    """The pattern, compiled by RE2.

    Raises:
        ValueError: for what RE2 does not take: look-around, back references, too much.
    """
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        raise ValueError(f"RE2 does not take it: {text}") from None


def _repeats_a_repeat(pattern: str) -> bool:
    """Whether a group that holds a repeat without an upper bound is itself repeated so."""
    open_groups = [False]
    at = 0
    while at < len(pattern):
        letter, group = pattern[at], False
        if letter == "[":
            at = _end_of_class(pattern, at)
        elif letter == "(":
            open_groups.append(False)
            at += 1
            continue
        elif letter == ")":
            group = open_groups.pop()
            open_groups[-1] |= group
            at += 1
        else:
            at += 2 if letter == "\\" else 1
        if repeat := _REPEAT.match(pattern, at):
            at = repeat.end()
            if repeat["endless"]:
                if group:
                    return True
                open_groups[-1] = True
    return False


def _end_of_class(pattern: str, at: int) -> int:
    """Behind the `]` of a class that begins at `at`; one that stands first in it is a letter."""
    at += 2 if pattern[at + 1] == "^" else 1
    first = True
    while first or pattern[at] != "]":
        first = False
        at += 2 if pattern[at] == "\\" else 1
    return at + 1
