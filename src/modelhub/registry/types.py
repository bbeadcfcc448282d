"""Column types that mean the same on SQLite and PostgreSQL."""

# ruff: noqa: ARG002 - SQLAlchemy hands each of them the dialect

import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, String
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from modelhub.errors import InvalidInput

__all__ = ["BigInt", "Json", "Name", "Text", "Utc", "Wide", "check_indexable", "utc_now"]

# PostgreSQL's B-trees take 2,704 bytes a row, and some of our indexes have a second column.
_INDEXABLE_BYTES = 2000

# PostgreSQL holds neither NUL nor half of a surrogate pair, and strangers' metadata has both.
# They are written as the mark and four hexadecimal digits; the mark itself too.
_MARK = "\x1a"
_UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
_MARKED = re.compile("\x1a([0-9a-f]{4})")
_NUMBER = _MARK + "="

BigInt = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits, signed. SQLite counts up by itself only in a column of the type `INTEGER`."""


def utc_now() -> datetime:
    """Now, by this host's clock."""
    return datetime.now(UTC)


def check_indexable(text: str, field: str) -> None:
    """Refuse what an index cannot hold, on both databases alike.

    Raises:
        InvalidInput
    """
    size = len(_store_text(text).encode())
    if size > _INDEXABLE_BYTES:
        raise InvalidInput(
            f"{field} has {size:,} bytes, and at most {_INDEXABLE_BYTES:,} can be looked up: {text[:40]!r}…",
            hint="Use a shorter one.",
            field=field,
        )


class Utc(TypeDecorator[datetime]):
    """A moment. Takes aware datetimes only and gives them back in UTC; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError(f"a time without a zone cannot be kept: {value!r}")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Text(TypeDecorator[str]):
    """Any text, also what PostgreSQL cannot hold. Compared and ordered by bytes on both."""

    impl = SqlText
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return SqlText(collation=_bytewise(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _store_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _load_text(value)


class Name(TypeDecorator[str]):
    """Plain ASCII of at most `length` characters: a digest, a commit, a state."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return String(self.length, collation=_bytewise(dialect))

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        # Drivers know `str` itself, not its subclasses.
        return None if value is None else str(value)


class Wide(TypeDecorator[int]):
    """An integer of any size, such as an inode, which some file systems number in 128 bits."""

    impl = SqlText
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> int | None:
        return None if value is None else int(value)


class Json(TypeDecorator[Any]):
    """A JSON value; `None` is SQL's NULL. JSONB on PostgreSQL.

    What JSONB (or SQLite's number affinity) would change is written as a marked text: NUL, half
    surrogates, integers over 64 bits, floats that are not finite or print without a point.
    """

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return JSONB(none_as_null=True) if dialect.name == "postgresql" else JSON(none_as_null=True)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return _store_json(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return _load_json(value)


def _bytewise(dialect: Dialect) -> str | None:
    return "C" if dialect.name == "postgresql" else None


def _store_text(text: str) -> str:
    return _UNSTORABLE.sub(lambda found: f"{_MARK}{ord(found.group()):04x}", text)


def _load_text(text: str) -> str:
    # Hardly any text has a mark, and to look for one is quick.
    return _MARKED.sub(lambda found: chr(int(found.group(1), 16)), text) if _MARK in text else text


def _store_json(value: Any) -> Any:
    if isinstance(value, str):
        return _store_text(value)
    if isinstance(value, dict):
        return {_store_text(key): _store_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_store_json(item) for item in value]
    if isinstance(value, float):
        text = repr(value)
        return f"{_NUMBER}{text}" if "e+" in text or not text[-1].isdigit() else value
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return f"{_NUMBER}{value}"
    return value


def _load_json(value: Any) -> Any:
    if isinstance(value, str):
        return _load_number(value[2:]) if value.startswith(_NUMBER) else _load_text(value)
    if isinstance(value, dict):
        return {_load_text(key): _load_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_load_json(item) for item in value]
    return value


def _load_number(text: str) -> int | float:
    return int(text) if text.lstrip("-").isdigit() else float(text)
