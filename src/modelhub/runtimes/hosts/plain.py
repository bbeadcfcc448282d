"""Which facts are whole as JSON text: pydantic writes and reads those many times faster than we could."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import JsonValue

from modelhub.facts import Fact
from modelhub.facts.arrays import ArrayFact

_LEAVES = (str, int, float, bool, NoneType, datetime, Enum, PurePath)
_NESTS = (Union, UnionType, tuple, list, dict, set, frozenset, Sequence, Mapping)


def is_plain(fact: Fact) -> bool:
    """Whether nothing in it needs a buffer of its own. A field of any type is plain while it is empty."""
    free = _free_fields(type(fact))
    return free is not None and all(getattr(fact, name) is None for name in free)


@lru_cache(maxsize=1024)
def _free_fields(kind: type[Fact]) -> tuple[str, ...] | None:
    """The fields that may hold anything; `None` when another one holds bytes or arrays."""
    if issubclass(kind, ArrayFact):
        return None
    fields = {name: field.annotation for name, field in kind.model_fields.items()}
    free = tuple(name for name, annotation in fields.items() if annotation is Any)
    held = (annotation for annotation in fields.values() if annotation is not Any)
    return free if all(map(_is_text, held)) else None


def _is_text(annotation: Any) -> bool:
    """Whether every value of the type is whole as JSON."""
    if annotation is JsonValue or annotation is Ellipsis:
        return True
    origin = get_origin(annotation)
    if origin is Literal:
        return True
    if origin is Annotated:
        return _is_text(get_args(annotation)[0])
    if origin in _NESTS:
        return all(map(_is_text, get_args(annotation)))
    if not isinstance(annotation, type):
        return False
    if issubclass(annotation, Fact):
        return _free_fields(annotation) == ()
    return issubclass(annotation, _LEAVES)
