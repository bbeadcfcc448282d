"""What every fact has in common, and how facts print."""

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, JsonValue, model_validator

from modelhub.errors import InvalidInput

__all__ = ["Fact", "JsonDict", "JsonValue", "SummedFact", "human_bytes", "parse_bytes", "table"]

JsonDict = dict[str, JsonValue]


class Fact(BaseModel):
    """A frozen value. Unknown fields are refused, so a typing error cannot hide.

    One with computed fields is a `SummedFact`.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        ser_json_bytes="base64",
        val_json_bytes="base64",
        ser_json_inf_nan="constants",
    )

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if cls.model_computed_fields and not issubclass(cls, SummedFact):
            raise TypeError(f"{cls.__name__} has computed fields: inherit SummedFact, not Fact")

    def model_dump(self, *, mode: str = "json", **others: Any) -> dict[str, Any]:
        """As pydantic's, but JSON values unless `mode="python"` is asked for: texts for times and
        paths, lists for tuples, URL-safe base64 for bytes. `model_validate` reads both back.
        """
        return super().model_dump(mode=mode, **others)

    def __iter__(self) -> Generator[tuple[str, Any], None, None]:
        """Name and value of each field: `dict(fact)` makes the same fact again. What was derived from the
        fields and is kept with them is none.
        """
        fields = type(self).model_fields
        yield from ((key, value) for key, value in self.__dict__.items() if key in fields)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's; what was derived from the fields is derived anew of those that it has then."""
        copied = super().model_copy(update=update, deep=deep)
        for name in copied.__dict__.keys() - type(self).model_fields.keys():
            del copied.__dict__[name]
        return copied

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}={_short(value)}" for key, value in self._brief())
        return f"{type(self).__name__}({shown})"

    __str__ = __repr__

    def _brief(self) -> Iterable[tuple[str, Any]]:
        """The fields worth a place in the one-line `repr`."""
        return ((key, getattr(self, key)) for key in type(self).model_fields)


class SummedFact(Fact):
    """A fact with computed fields, which `model_dump` writes and which are made anew when it is read back."""

    @model_validator(mode="before")
    @classmethod
    def _drop_computed(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if key not in cls.model_computed_fields}
        return data


def _short(value: Any) -> str:
    if isinstance(value, str):
        return repr(str(value)) if len(value) <= 60 else repr(value[:57] + "...")
    if isinstance(value, tuple | list | dict) and len(value) > 3:
        return f"<{len(value)}>"
    return repr(value)


def human_bytes(count: int) -> str:
    """`1.5 GB`: powers of 1000, as disks and hubs count them."""
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if abs(size) < 999.5:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.4g} TB"


_SIZE = re.compile(
    r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?P<power>[kmgt]?)(?P<binary>i?)b?", re.IGNORECASE
)


def parse_bytes(text: str, field: str) -> int:
    """What `human_bytes` writes, and what people do: `1.5 GB`, `8GB`, `500m`, `16GiB`, `1000`.

    Raises:
        InvalidInput: for anything else, naming `field`.
    """
    found = _SIZE.fullmatch(text.strip())
    if found is None or (found["binary"] and not found["power"]):
        raise InvalidInput(
            f"{field}: {text!r:.40} is no size", hint="Such as 8GB or 500MB.", field=field
        )
    power = " kmgt".index(found["power"].lower() or " ")
    return int(Decimal(found["number"]) * (1024 if found["binary"] else 1000) ** power)


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns in plain text, numbers and sizes to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    columns = list(zip(headers, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [_numeric(column[1:]) for column in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [list(headers), *cells]
    ]
    return "\n".join(lines)


_NUMBER = re.compile(r"[0-9][0-9,.]*( [kMGT]?B)?")


def _numeric(cells: Sequence[str]) -> bool:
    """Whether these are counts, sizes or ranges of sizes; a hash or a time only begins like one."""
    return any(cells) and all(
        _NUMBER.fullmatch(bound) for cell in cells if cell for bound in cell.split(" – ")
    )
