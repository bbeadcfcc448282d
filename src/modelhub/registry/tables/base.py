"""What all tables share: names of constraints, column types said once."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import Boolean, CheckConstraint, Double, ForeignKey, MetaData
from sqlalchemy.orm import DeclarativeBase, mapped_column

from modelhub.registry.types import BigInt, Json, Name, Text, Utc, utc_now

__all__ = [
    "Commit",
    "Created",
    "Id",
    "JsonDoc",
    "JsonList",
    "Row",
    "Sha256",
    "State",
    "Updated",
    "cascade",
    "one_of",
    "set_null",
]

Id = Annotated[int, mapped_column(BigInt, primary_key=True)]
Sha256 = Annotated[str, mapped_column(Name(64))]
Commit = Annotated[str, mapped_column(Name(64))]
State = Annotated[str, mapped_column(Name(32))]
JsonDoc = Annotated[dict[str, Any], mapped_column(Json, default=dict)]
JsonList = Annotated[list[Any], mapped_column(Json, default=list)]
Created = Annotated[datetime, mapped_column(default=utc_now)]
Updated = Annotated[datetime, mapped_column(default=utc_now, onupdate=utc_now)]


class Row(DeclarativeBase):
    """A row of any table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        bool: Boolean(),
        datetime: Utc(),
        dict[str, Any]: Json(),
        float: Double(),
        int: BigInt,
        str: Text(),
    }


def one_of(column: str, values: Iterable[str]) -> CheckConstraint:
    """The column holds one of these; a string with a check is easier to extend than a type."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def cascade(target: str) -> ForeignKey:
    """Goes with the row that it points at."""
    return ForeignKey(target, ondelete="CASCADE")


def set_null(target: str) -> ForeignKey:
    """Outlives the row that it points at."""
    return ForeignKey(target, ondelete="SET NULL")
