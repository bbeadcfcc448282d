"""Schemas whose own words leave no value."""

from collections.abc import Mapping
from typing import Any

_PAIRS = (("minItems", "maxItems"), ("minLength", "maxLength"))
_LEAST = ("minimum", "exclusiveMinimum")
_MOST = ("maximum", "exclusiveMaximum")


def limits_problem(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """The word of a valid schema that another one leaves no room for, and what is wrong with it."""
    for low, high in _PAIRS:
        if schema.get(low, 0) > schema.get(high, schema.get(low, 0)):
            return low, f"{schema[low]} is more than {high} {schema[high]}"
    return _numbers_problem(schema) or _names_problem(schema)


def _numbers_problem(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    for low in _LEAST:
        for high in _MOST:
            if low not in schema or high not in schema:
                continue
            least, most = schema[low], schema[high]
            both_taken = (low, high) == (_LEAST[0], _MOST[0])
            if least > most or (least == most and not both_taken):
                return low, f"with {least} and {high} {most} no number is left"
    return None


def _names_problem(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name in schema.get("required", ()):
        if properties.get(name, more) is False:
            return "required", f"{name!r:.60} is not allowed to be there"
    return None
