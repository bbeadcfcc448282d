"""What an error needs to cross into another process and back: JSON values, and its class by a code."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def json_value(value: Any) -> Any:
    """`value` as JSON has it; what JSON has no word for becomes text."""
    if value is None or type(value) in {str, int, float, bool}:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [json_value(item) for item in value]
    return str(value)


def family(root: type[T]) -> Iterator[type[T]]:
    """A class and all that inherit from it, each behind its parent."""
    yield root
    for child in root.__subclasses__():
        yield from family(child)
