"""Statements that SQLite and PostgreSQL share but SQLAlchemy spells twice, and the clock."""

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TypeVar

from sqlalchemy import BigInteger, ColumnElement, bindparam, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute, Session

from modelhub.registry.tables import Row
from modelhub.registry.types import Utc, utc_now

__all__ = ["among", "batches", "close_jobs", "close_snapshots", "insert", "now", "steady"]

# SQLite takes 32,766 variables a statement, PostgreSQL 65,535; a row has at most a few dozen.
BATCH = 500

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")


def insert(session: Session, table: type[Row]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT."""
    on_sqlite = session.get_bind().dialect.name == "sqlite"
    return sqlite.insert(table) if on_sqlite else postgresql.insert(table)


def among(
    session: Session, column: InstrumentedAttribute[int], numbers: Collection[int]
) -> ColumnElement[bool]:
    """That a column has one of `numbers`. PostgreSQL plans such a question once, however many they are."""
    if session.get_bind().dialect.name == "sqlite":
        return column.in_(numbers)
    return column == func.any(bindparam(None, list(numbers), type_=postgresql.ARRAY(BigInteger)))


def now(session: Session) -> datetime:
    """The database's clock, so that hosts whose clocks differ agree on leases.

    SQLite's is this host's. Not the transaction's start, since it may have waited for a lock.
    """
    if session.get_bind().dialect.name == "sqlite":
        return utc_now()
    return session.execute(select(func.clock_timestamp(type_=Utc()))).scalar_one()


def steady(session: Session) -> datetime:
    """A clock that nobody of this host can set, for leases; the time of day it need not be.

    PostgreSQL's is the server's. SQLite's file has one host, and its processes share the clock that counts
    from the host's start: what was written before that is told by being too far away.
    """
    if session.get_bind().dialect.name == "sqlite":
        return _EPOCH + timedelta(seconds=time.monotonic())
    return now(session)


def close_jobs(session: Session) -> None:
    """Let no job begin or end until this transaction does; the first thing that it locks.

    SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name != "sqlite":
        session.execute(text("LOCK TABLE job IN SHARE ROW EXCLUSIVE MODE"))


def close_snapshots(session: Session) -> None:
    """Let nobody write a snapshot down until this transaction ends. Repositories are locked before it.

    SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name != "sqlite":
        session.execute(text("LOCK TABLE snapshot IN SHARE ROW EXCLUSIVE MODE"))


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """`items` in pieces that one statement can take."""
    remaining = iter(items)
    while batch := tuple(islice(remaining, size)):
        yield batch
