"""Numbers in arrays inside facts: numpy's, checked, read-only, and as nested lists in JSON."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer

from modelhub.facts.base import Fact

__all__ = ["Array", "ArrayFact", "from_buffer", "is_array"]


def Array(dtype: str, ndim: int) -> Any:  # noqa: N802 - the name of a type
    """The type of a field that holds a numpy array of `ndim` dimensions, as `dtype`.

    Lists of numbers become one. What comes is not copied unless its type has to change; the field is
    a view that cannot be written through.
    """

    def check(value: Any) -> Any:
        import numpy as np

        try:
            array = np.asarray(value, dtype=dtype)
        except (TypeError, ValueError) as error:
            raise ValueError(f"not an array of {dtype}: {error}") from None
        if array.ndim != ndim:
            raise ValueError(f"an array of {ndim} dimensions is needed, this one has {array.ndim}")
        view = array.view()
        view.flags.writeable = False
        return view

    lists = PlainSerializer(lambda array: array.tolist(), when_used="json")
    return Annotated[Any, BeforeValidator(check), lists]


def is_array(value: Any) -> bool:
    """Whether it is a numpy array; says so without importing numpy."""
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ == "ndarray"


class ArrayFact(Fact):
    """A fact with arrays: equal when every number of theirs is."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        pairs = ((getattr(self, name), getattr(other, name)) for name in type(self).model_fields)
        return all(_same(*pair) for pair in pairs)

    __hash__ = None  # type: ignore[assignment]


def _same(one: Any, other: Any) -> bool:
    if not (is_array(one) and is_array(other)):
        return bool(one == other)
    return one.shape == other.shape and one.dtype == other.dtype and bool((one == other).all())


def from_buffer(buffer: memoryview, dtype: str, shape: Sequence[int]) -> Any:
    """An array over the bytes of `buffer`, without a copy and read-only where the buffer is.

    Raises:
        ValueError: when they are not as many as the shape needs.
    """
    import numpy as np

    kind = np.dtype(dtype)
    if kind.hasobject:
        raise ValueError("an array of Python objects has no bytes")
    if any(size < 0 for size in shape):
        raise ValueError(f"{list(shape)} is no shape")
    return np.frombuffer(buffer, dtype=kind).reshape(shape)
