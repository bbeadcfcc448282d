"""Regular expressions of strangers: a subset that every engine matches in linear time.

What RE2 (https://github.com/google/re2/wiki/Syntax) takes, anchored at both ends as a grammar needs it.
Repeats for which engines that backtrack take exponential time are refused: one inside another, and one of
what may be empty.
"""

from functools import lru_cache
from typing import Any

from modelhub.tasks.automaton import automaton
from modelhub.tasks.regex import Repeat, Tree, may_be_empty, read_pattern, repeats

MAX_PATTERN = 256
_MEMORY = 1 << 20


def pattern_problem(pattern: str) -> str:
    """What is wrong with a pattern, for people; empty when nothing is."""
    if len(pattern) > MAX_PATTERN:
        return f"it has {len(pattern)} characters, and at most {MAX_PATTERN} are taken"
    try:
        compiled(pattern)
        tree, anchored = read_pattern(pattern)
        if problem := _repeat_problem(tree):
            return problem
        if not anchored:
            return "it must begin with ^ and end with $, since the whole text is bound by it"
        if not automaton(pattern):
            return "no text fits it"
    except ValueError as error:
        return str(error)
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


def _repeat_problem(tree: Tree) -> str:
    for repeat in repeats(tree):
        if repeat.most in {0, 1}:
            continue
        if may_be_empty(repeat.part):
            return "it repeats what may be empty, as in (a?)*"
        if repeat.most is None and any(map(_is_endless, repeats(repeat.part))):
            return "it repeats what repeats, as in (a+)+"
    return ""


def _is_endless(repeat: Repeat) -> bool:
    return repeat.most is None
