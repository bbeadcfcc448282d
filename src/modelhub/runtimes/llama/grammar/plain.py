"""Schemas in the words that llama.cpp's server knows.

It makes a grammar of a schema itself, also around the thoughts of a model. A pattern in which it meets
what it does not know it drops, and lets any text pass; so what has another spelling is spelled out.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.runtimes.llama.grammar.patterns import CLASSES

_SCHEMAS = frozenset(["additionalProperties", "items"])
_LISTS = frozenset(["allOf", "anyOf", "oneOf", "prefixItems"])
_MAPS = frozenset(["$defs", "definitions", "properties"])
_OWN_MEANING = frozenset("^$.|?*+()[]{}\\")


def plain_schema(schema: Any) -> Any:
    """The schema, its patterns spelled out."""
    return dict(map(_plain_word, schema, schema.values())) if isinstance(schema, Mapping) else schema


def _plain_word(word: str, value: Any) -> tuple[str, Any]:
    if word == "pattern":
        return word, plain_pattern(value)
    if word in _SCHEMAS:
        return word, plain_schema(value)
    if word in _LISTS:
        return word, [plain_schema(each) for each in value]
    if word in _MAPS:
        return word, {name: plain_schema(each) for name, each in value.items()}
    return word, value


def plain_pattern(pattern: str) -> str:
    """The pattern without short names of classes, and without backslashes that change nothing."""
    letters = iter(pattern)
    return "".join(_class(letters) if letter == "[" else _piece(letter, letters) for letter in letters)


def _piece(letter: str, letters: Iterator[str]) -> str:
    if letter != "\\":
        return letter
    escaped = next(letters)
    if escaped.lower() in CLASSES:
        return f"[{'^' * escaped.isupper()}{CLASSES[escaped.lower()]}]"
    return f"\\{escaped}" if escaped in _OWN_MEANING or escaped.isalnum() else escaped


def _class(letters: Iterator[str]) -> str:
    """The rest of a class: brackets in it get a backslash, `^` and `$` lose theirs."""
    inside: list[str] = []
    negative = False
    for letter in letters:
        if letter == "]" and inside:
            break
        if letter == "^" and not inside and not negative:
            negative = True
            continue
        if letter != "\\":
            inside.append(f"\\{letter}" if letter in "[]" else letter)
            continue
        escaped = next(letters)
        inside.append(escaped if escaped in "^$" else CLASSES.get(escaped, f"\\{escaped}"))
    if inside == ["^"] and not negative:
        return "\\^"
    if inside[:1] == ["^"] and not negative:
        inside = [*inside[1:], "^"]  # it would mean the opposite at the begin
    return f"[{'^' * negative}{''.join(inside)}]"
