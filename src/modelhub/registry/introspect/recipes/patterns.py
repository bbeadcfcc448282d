"""Patterns for the paths of files and the names of repositories, matched in linear time.

A pattern is a whole path, without case. `*` is any text within one folder, `**/` any folders or none, `?`
one character, `{pth|safetensors}` one of these texts. `{model}`, `{variant}` and `{precision}` are texts
that tell files apart; `{model:tiny|base}` is one of a list, and `{precision}` one that modelhub knows.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from modelhub.refs import Precision
from modelhub.refs.precision import spellings

__all__ = ["NAMES", "Pattern", "read_pattern"]

NAMES = ("model", "variant", "precision")
MAX_PATTERN = 512
MAX_MARKS = 16
"""Of `*`, `?` and braces in one pattern."""
_MEMORY = 1 << 20

_TOKEN = re.compile(
    r"(?P<folders>\*\*/)|(?P<any>\*)|(?P<one>\?)|\{(?P<inside>[^{}]*)\}|(?P<text>[^*?{}\[\]\\]+)|(?P<bad>.)"
)
_CHOICE = re.compile(r"[\w.+-]+(?:\|[\w.+-]+)*")
_KNOWN = "|".join(map(re.escape, sorted((*Precision, *spellings()), key=len, reverse=True)))


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that can be matched. `names` are those of its parts that tell files apart; `suffix` is
    that of every path that matches, `None` where it may be any.
    """

    text: str
    names: frozenset[str]
    suffix: str | None
    _compiled: Any

    def match(self, text: str) -> Mapping[str, str] | None:
        """What its named parts are in `text`, in lower case; `None` where it does not match."""
        found = self._compiled.fullmatch(text)
        if found is None:
            return None
        return {name: value.lower() for name, value in found.groupdict().items() if value}


@lru_cache(maxsize=4096)
def read_pattern(text: str) -> Pattern:
    """A pattern from what a person wrote.

    Raises:
        ValueError: saying what is wrong with it.
    """
    if not text or len(text) > MAX_PATTERN or not text.isprintable():
        raise ValueError(f"a pattern has 1 to {MAX_PATTERN} printable characters")
    parts = list(_parts(text))
    names = [name for _, name in parts if name]
    if len(names) != len(set(names)):
        raise ValueError("it names the same part twice")
    if sum(map(text.count, "*?{")) > MAX_MARKS:
        raise ValueError(f"it has more than {MAX_MARKS} marks (* ? and braces)")
    expression = "".join(each for each, _ in parts)
    suffix = re.search(r"\.[a-z0-9_]+\Z", text.lower())
    return Pattern(text, frozenset(names), suffix[0] if suffix else None, _compile(expression))


def _parts(text: str) -> Iterator[tuple[str, str]]:
    """Each part as RE2 writes it, with its name if it has one."""
    for token in _TOKEN.finditer(text):
        match token.lastgroup:
            case "folders":
                if token.start() and text[token.start() - 1] != "/":
                    raise ValueError("** stands for whole folders: before it is a / or nothing")
                yield "(?:[^/]+/)*", ""
            case "any":
                yield "[^/]*", ""
            case "one":
                yield "[^/]", ""
            case "inside":
                yield _braces(token["inside"])
            case "text":
                yield re.escape(token["text"]), ""
            case _:
                raise ValueError(f"{token[0]!r} has no meaning in a pattern")


def _braces(inside: str) -> tuple[str, str]:
    name, colon, choice = inside.partition(":")
    if name not in NAMES:
        name, choice = "", inside
        if "|" not in inside or colon:
            raise ValueError(
                f"{{{inside}}} is neither {{{'}, {'.join(NAMES)}}} nor a choice as in {{a|b}}"
            )
    elif not colon:
        return (f"(?P<{name}>{_KNOWN})" if name == "precision" else f"(?P<{name}>[^/]+?)"), name
    if not _CHOICE.fullmatch(choice):
        raise ValueError(f"{{{inside}}}: a choice is of letters, digits and . _ + - between |")
    if name == "precision" and (
        odd := [each for each in choice.split("|") if not Precision.parse(each)]
    ):
        raise ValueError(f"{{{inside}}}: {odd[0]!r} is no precision that modelhub knows")
    texts = "|".join(map(re.escape, sorted(choice.split("|"), key=len, reverse=True)))
    return (f"(?P<{name}>{texts})" if name else f"(?:{texts})"), name


def _compile(expression: str) -> Any:
    import re2

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.case_sensitive = False
    try:
        return re2.compile(expression, options=options)
    except re2.error as error:
        raise ValueError(f"it is too much: {error}") from None
