"""The database's schema: which revision it has, and how it gets another.

Alembic is imported only when a migration is due.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from modelhub.errors import RegistryError, SchemaMismatch
from modelhub.registry.engine import shown, translate
from modelhub.registry.revision_ids import HEAD, REVISIONS

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["check", "config", "current", "downgrade", "head", "upgrade"]

_HAS_VERSION = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'",
    "postgresql": "SELECT 1 WHERE to_regclass('alembic_version') IS NOT NULL",
}


def head() -> str:
    """The revision that this modelhub wants."""
    return HEAD


def current(engine: Engine) -> str | None:
    """The revision that the database has; `None` when it has no schema of ours.

    Raises:
        DatabaseUnavailable
    """
    try:
        with engine.connect() as connection:
            return _current(connection)
    except (DBAPIError, sqlite3.Error) as error:
        raise translate(error, engine.url) from error


def check(engine: Engine) -> None:
    """Accept only a database whose schema is this modelhub's.

    Raises:
        SchemaMismatch: for one that is older, newer or empty.
        DatabaseUnavailable
    """
    found = current(engine)
    if found == HEAD:
        return
    where = shown(engine.url)
    _refuse_newer(found, where)
    state = f"has the schema {found}" if found else "has no schema yet"
    raise SchemaMismatch(
        f"database {where} {state}, and this modelhub needs {HEAD}",
        hint="Run `modelhub db upgrade`.",
        found=found,
        wanted=HEAD,
    )


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the schema forward to `revision`, all or nothing. Several processes may try at once.

    Raises:
        SchemaMismatch: for a database that is newer, or that holds something else.
        DatabaseUnavailable
    """
    from alembic import command

    with _migrating(engine) as connection:
        found = _current(connection)
        _refuse_newer(found, shown(engine.url))
        if found is None:
            _refuse_strangers(connection)
        command.upgrade(config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Bring the schema back to `revision` (`base` removes it all), all or nothing.

    Raises:
        SchemaMismatch: for a database that is newer than this modelhub.
        DatabaseUnavailable
    """
    from alembic import command

    with _migrating(engine) as connection:
        _refuse_newer(_current(connection), shown(engine.url))
        command.downgrade(config(connection), revision)


def config(connection: Connection) -> "Config":
    """Alembic's configuration for work on `connection`; there is no alembic.ini."""
    from alembic.config import Config

    made = Config(attributes={"connection": connection})
    folder = str(Path(__file__).with_name("migrations"))
    made.set_main_option("script_location", folder.replace("%", "%%"))
    return made


def _current(connection: Connection) -> str | None:
    if connection.scalar(text(_HAS_VERSION[connection.dialect.name])) is None:
        return None
    found = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return None if found is None else str(found)


def _refuse_newer(found: str | None, where: str) -> None:
    if found is None or found in REVISIONS:
        return
    raise SchemaMismatch(
        f"this modelhub is older than the database {where}: it knows no schema {found!r:.60}",
        hint='Run: pip install --upgrade "modelhub"',
        found=found,
        wanted=HEAD,
    )


def _refuse_strangers(connection: Connection) -> None:
    """An SQLite file is upgraded unasked, so it must not be some other program's."""
    if connection.dialect.name != "sqlite":
        return
    table = connection.scalar(
        text(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
            " AND name <> 'alembic_version' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' LIMIT 1"
        )
    )
    if table is not None:
        where = shown(connection.engine.url)
        raise SchemaMismatch(
            f"database {where} belongs to another program: it has a table {table!r:.60} and no schema of ours",
            hint="Name another file; one that does not exist is created.",
        )


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    """One transaction for the whole migration. Foreign keys sleep while SQLite copies tables."""
    on_sqlite = engine.dialect.name == "sqlite"
    try:
        with engine.connect() as connection:
            if on_sqlite:
                _foreign_keys(connection, on=False)
            try:
                with connection.begin():
                    yield connection
                    if on_sqlite:
                        _check_foreign_keys(connection)
            finally:
                if on_sqlite:
                    _foreign_keys(connection, on=True)
    except (DBAPIError, sqlite3.Error) as error:
        raise translate(error, engine.url) from error


def _foreign_keys(connection: Connection, *, on: bool) -> None:
    # Past SQLAlchemy, which would begin a transaction, in which SQLite ignores this pragma.
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.execute(f"PRAGMA foreign_keys = {'ON' if on else 'OFF'}")


def _check_foreign_keys(connection: Connection) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
    if broken is not None:
        raise RegistryError(f"the migration would leave rows of {broken[0]} that point at nothing")
