"""Two schemas at once, as one."""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import zip_longest
from typing import Any

from modelhub.errors import InvalidInput
from modelhub.tasks.limits import limits_problem

Schema = Mapping[str, Any]

_WHOLE = {"anyOf", "format", "oneOf", "pattern"}
"""Words of which one schema can have one only."""


class NoAnswer(Exception):
    """Nothing is what a schema says."""


def both(one: Schema, other: Schema) -> Schema:
    """What is both.

    Raises:
        NoAnswer: when nothing is.
        InvalidInput: for what no single schema says.
    """
    whole: dict[str, Any] = {**one, **other}
    for word in set(one) & set(other):
        if word in _JOINED:
            whole[word] = _JOINED[word](one[word], other[word])
        elif word in _WHOLE and one[word] != other[word]:
            raise InvalidInput(
                f"response_format.schema: two {word} for the same value cannot be bound together",
                hint=f"Write what they have in common as one {word}.",
                field="response_format",
            )
    whole |= _members(one, other) | _places(one, other) | _values(one, other)
    if problem := limits_problem(whole):
        raise NoAnswer(" ".join(problem))
    return whole


def all_of(one: Any, other: Any) -> Any:
    """The schema of what two schemas both say, either of which may be `True` or `False`."""
    if one is True or other is True:
        return other if one is True else one
    return one is not False and other is not False and {"allOf": [one, other]}


def _types(one: Any, other: Any) -> list[str]:
    kinds = [_listed(one), _listed(other)]
    found = [
        each
        for each in dict.fromkeys([*kinds[0], *kinds[1]])
        if all(each in those or (each == "integer" and "number" in those) for those in kinds)
    ]
    if not found:
        raise NoAnswer("nothing is of both types")
    return found


def _listed(kind: Any) -> list[str]:
    return [kind] if isinstance(kind, str) else list(kind)


def _names(one: Iterable[str], other: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*one, *other]))


_JOINED: dict[str, Callable[[Any, Any], Any]] = {
    "type": _types,
    "required": _names,
    **dict.fromkeys(("exclusiveMinimum", "minItems", "minLength", "minimum"), max),
    **dict.fromkeys(("exclusiveMaximum", "maxItems", "maxLength", "maximum"), min),
}


def _members(one: Schema, other: Schema) -> dict[str, Any]:
    """The properties, and what others may be: each of the two speaks of those that it does not name."""
    mine, theirs = one.get("properties", {}), other.get("properties", {})
    rest, others = one.get("additionalProperties", True), other.get("additionalProperties", True)
    found: dict[str, Any] = {}
    if mine or theirs:
        found["properties"] = {
            name: all_of(mine.get(name, rest), theirs.get(name, others)) for name in {**mine, **theirs}
        }
    if "additionalProperties" in one or "additionalProperties" in other:
        found["additionalProperties"] = all_of(rest, others)
    return found


def _places(one: Schema, other: Schema) -> dict[str, Any]:
    """The items of an array, the first ones by their places."""
    rest, others = one.get("items", True), other.get("items", True)
    places = list(zip_longest(one.get("prefixItems", ()), other.get("prefixItems", ())))
    found: dict[str, Any] = {}
    if places:
        found["prefixItems"] = [
            all_of(rest if mine is None else mine, others if theirs is None else theirs)
            for mine, theirs in places
        ]
    if "items" in one or "items" in other:
        found["items"] = all_of(rest, others)
    return found


def _values(one: Schema, other: Schema) -> dict[str, Any]:
    """The values that both name."""
    mine, theirs = values_of(one), values_of(other)
    if mine is None or theirs is None:
        return {}
    known = [_key(value) for value in theirs]
    return {"enum": [value for value in mine if _key(value) in known]}


def values_of(schema: Schema) -> list[Any] | None:
    """The values that a schema names, if it names them."""
    named = [schema["const"]] if "const" in schema else schema.get("enum")
    if "const" in schema and "enum" in schema:
        return [value for value in schema["enum"] if _key(value) == _key(schema["const"])]
    return named


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
