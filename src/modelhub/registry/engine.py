"""Engines: SQLite told to behave, PostgreSQL told not to wait for ever."""

import random
import select
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from modelhub.errors import DatabaseUnavailable, InvalidInput, ModelHubError, RegistryError

__all__ = ["BUSY_SECONDS", "make_engine", "make_reader", "parse_url", "shown", "translate"]

BUSY_SECONDS = 30.0
CONNECT_SECONDS = 10
OLDEST_SQLITE = (3, 35)  # RETURNING

_FOREIGN_KEY = "23503"
_LIMITS = "54"  # the class of PostgreSQL's "program limit exceeded", which psycopg calls operational
_READ_ONLY = "25006"  # a standby, or a server set so for a while; psycopg calls it internal
_SECRETS = ("password", "sslpassword")
_POSTGRES = ("postgres", "postgresql", "postgresql+psycopg")
_SQLITE = ("sqlite", "sqlite+pysqlite")
_HINT = (
    "Write sqlite:////folder/modelhub.db, or postgresql://user:password@host/database "
    "(with modelhub[postgres] installed)."
)


def parse_url(url: str) -> URL:
    """The URL of a database that the registry can live in.

    `postgres://` and `postgresql://` mean psycopg 3.

    Raises:
        InvalidInput: for anything but an SQLite file or PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # The text may hold a password that could not be told from the rest, so it is not shown.
        raise InvalidInput("the database URL cannot be read", hint=_HINT, field="database") from error
    if parsed.drivername in _POSTGRES:
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername not in _SQLITE:
        raise InvalidInput(
            f"no registry in a database of the kind {parsed.drivername!r:.60}",
            hint=_HINT,
            field="database",
        )
    if parsed.database in (None, "", ":memory:") or str(parsed.database).startswith("file:"):
        raise InvalidInput(
            f"database {shown(parsed)!r} is not a file",
            hint=f"Threads and processes share the registry, so it cannot be in memory. {_HINT}",
            field="database",
        )
    return parsed.set(drivername="sqlite")


def shown(url: URL) -> str:
    """The URL for people: without passwords."""
    return url.difference_update_query(_SECRETS).render_as_string(hide_password=True)


def make_engine(url: str | URL) -> Engine:
    """The engine that writes.

    On SQLite it has one connection, since there is one writer at a time: threads wait for it in
    line, and only other processes make SQLite itself wait (at most 30 seconds).

    Raises:
        InvalidInput, DatabaseUnavailable
    """
    parsed = parse_url(url) if isinstance(url, str) else url
    if parsed.get_backend_name() == "postgresql":
        return _postgres(parsed)
    _check_sqlite(shown(parsed))
    _make_folder(parsed)
    engine = _sqlite(parsed, pool_size=1, max_overflow=0, pool_timeout=BUSY_SECONDS * 2)
    event.listen(engine, "connect", _wait_ourselves)
    event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.connect() as connection:
            _enter_wal(connection)
    except (DBAPIError, sqlite3.Error) as error:
        engine.dispose()
        raise translate(error, parsed) from error
    return engine


def make_reader(writer: Engine) -> Engine:
    """The engine that only reads, each transaction one snapshot of the database `writer` writes."""
    if writer.dialect.name == "postgresql":
        return writer.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    engine = _sqlite(writer.url, pool_size=8, max_overflow=56, pool_timeout=BUSY_SECONDS)
    event.listen(engine, "connect", _query_only)
    event.listen(engine, "begin", _begin)
    return engine


def translate(error: Exception, url: URL) -> ModelHubError:
    """What a driver's or the pool's error means to someone who never sees SQL."""
    where = shown(url)
    if isinstance(error, PoolTimeout):
        return DatabaseUnavailable(
            f"no connection to {where} came free in time",
            hint="Another transaction of this process has been open for very long.",
        )
    driver = getattr(error, "orig", error)
    reason = str(driver).strip().partition("\n")[0][:300]
    if str(getattr(driver, "sqlstate", None) or "").startswith(_LIMITS):
        return RegistryError(
            f"the database cannot hold something this large: {reason}",
            hint="Some text, such as a name, an address or a path, is too long for an index.",
            database=where,
        )
    if getattr(driver, "sqlstate", None) == _FOREIGN_KEY or reason.startswith("FOREIGN KEY"):
        return RegistryError(
            f"what this belongs to was removed from the registry meanwhile: {reason}",
            hint="Ask again: what is still registered is found, and the rest is read anew.",
            database=where,
        )
    if not _unavailable(driver):
        return RegistryError(f"the database refused a statement: {reason}", database=where)
    return DatabaseUnavailable(
        f"database {where} cannot be used: {reason}", hint=_advice(url, reason), database=where
    )


def _unavailable(error: BaseException) -> bool:
    # SQLite says plain DatabaseError of a file that is damaged or no database.
    names = {kind.__name__ for kind in type(error).__mro__}
    if getattr(error, "sqlstate", None) == _READ_ONLY:
        return True
    return bool(names & {"OperationalError", "InterfaceError"}) or type(error) is sqlite3.DatabaseError


def _advice(url: URL, reason: str) -> str:
    if "read-only transaction" in reason:
        return "The server takes no writes now: it is a standby, or was set so."
    if url.get_backend_name() == "postgresql":
        return "Check that the server runs and that host, port, user, password and database are right."
    if "not a database" in reason:
        return "The file is something else; name another one, or move it away."
    if "locked" in reason:
        return "Another process has been writing for very long."
    return "Check that the folder exists, that it is one, and that you may write there."


def _postgres(url: URL) -> Engine:
    options = {"connect_timeout": CONNECT_SECONDS} if "connect_timeout" not in url.query else {}
    try:
        engine = create_engine(
            url, connect_args=options, hide_parameters=True, max_overflow=24, pool_size=8
        )
    except (ImportError, NoSuchModuleError) as error:
        raise DatabaseUnavailable(
            f"database {shown(url)} needs psycopg, which is not installed",
            hint='pip install "modelhub[postgres]"',
        ) from error
    event.listen(engine, "checkout", _notice_end)
    return engine


def _notice_end(connection: Any, _record: Any, _proxy: Any) -> None:
    """Take no connection that its server has ended.

    Such a one has something to read, a last message or its end, and one that waits has nothing. To ask
    the server each time would cost as much as a question.
    """
    if connection.closed:
        raise InvalidatePoolError
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    if poll.poll(0):
        raise InvalidatePoolError


def _sqlite(url: URL, **pool: Any) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True, **pool)
    event.listen(engine, "connect", _set_up)
    event.listen(engine, "handle_error", _refuse_overflow)
    return engine


def _set_up(connection: Any, _record: Any) -> None:
    # The driver would begin transactions by itself, and only before some statements.
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    # A commit is on the disk when it returns: what the registry says of a blob must hold after a
    # power cut. Writes are few, so the fsync does not matter.
    connection.execute("PRAGMA synchronous = FULL")


def _refuse_overflow(context: ExceptionContext) -> None:
    # The driver raises this one by itself, where PostgreSQL answers with a database error.
    if isinstance(context.original_exception, OverflowError):
        raise RegistryError("a number does not fit into 64 bits") from context.original_exception


def _query_only(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA query_only = ON")


def _wait_ourselves(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA busy_timeout = 0")


def _begin_immediate(connection: Connection) -> None:
    """Become the writer now: SQLite lets no reader that becomes one later wait for its turn.

    SQLite itself would look again every 100 ms, and between two processes that write without a
    pause the moment when neither does is much shorter. So we look more often.
    """
    driver: Any = connection.connection.driver_connection
    _patiently(lambda: driver.execute("BEGIN IMMEDIATE"))


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _check_sqlite(where: str) -> None:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        oldest = ".".join(map(str, OLDEST_SQLITE))
        raise DatabaseUnavailable(
            f"database {where} needs SQLite {oldest} or newer; this Python has {sqlite3.sqlite_version}",
            hint="Use a newer Python build, or a PostgreSQL database.",
            database=where,
        )


def _make_folder(url: URL) -> None:
    path = Path(str(url.database))
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise DatabaseUnavailable(
            f"the folder of database {shown(url)} cannot be created: {error.strerror or error}",
            hint="Name a place that you may write to.",
            database=shown(url),
        ) from error


def _enter_wal(connection: Connection) -> None:
    """Let readers and a writer work at the same time. The file remembers it."""
    driver: Any = connection.connection.driver_connection
    _patiently(lambda: driver.execute("PRAGMA journal_mode = WAL").fetchall())
    (mode,) = driver.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        raise sqlite3.OperationalError(f"its file system cannot hold a write-ahead log ({mode})")


def _patiently(act: Callable[[], object]) -> None:
    """Do it as soon as no other process is in the way, within 30 seconds."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            act()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.001, 0.004))
        else:
            return
