"""Opening: what is accepted, what is refused and how that reads."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from modelhub.errors import DatabaseUnavailable, HubClosed, InvalidInput, ModelHubError, SchemaMismatch
from modelhub.registry import Registry
from modelhub.registry.engine import make_engine, make_reader, parse_url
from tests.registry.samples import QWEN, register


def sqlite_url(path):
    return f"sqlite:///{path}"


def test_an_sqlite_file_is_made_with_its_folder(tmp_path):
    path = tmp_path / "deep" / "home" / "modelhub.db"
    registry = Registry.open(sqlite_url(path))
    register(registry)
    registry.close()
    assert path.is_file()
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    again = Registry.open(sqlite_url(path))
    assert again.dialect == "sqlite"
    with again.read() as tx:
        assert [record.repo for record in tx.repos.list(10)] == [QWEN]
    again.close()


def test_sqlite_is_told_to_behave(tmp_path):
    writer = make_engine(sqlite_url(tmp_path / "x.db"))
    reader = make_reader(writer)
    # The writer waits by itself (test_a_writer_waits_for_another_process).
    for engine, only_queries, wait in ((writer, 0, 0), (reader, 1, 30_000)):
        with engine.connect() as connection:
            pragmas = ("journal_mode", "foreign_keys", "synchronous", "busy_timeout", "query_only")
            found = [connection.scalar(text(f"PRAGMA {name}")) for name in pragmas]
            assert found == ["wal", 1, 2, wait, only_queries]
    writer.dispose()
    reader.dispose()


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://u:p@h/d", "postgresql+psycopg"),
        ("postgresql://u:p@h/d", "postgresql+psycopg"),
        ("postgresql+psycopg://u:p@h/d", "postgresql+psycopg"),
        ("sqlite:////tmp/x.db", "sqlite"),
        ("sqlite+pysqlite:////tmp/x.db", "sqlite"),
    ],
)
def test_urls(url, driver):
    assert parse_url(url).drivername == driver


@pytest.mark.parametrize(
    "url",
    [
        "",
        "modelhub.db",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true",
        "mysql://u:secret@h/d",
        "postgresql+psycopg2://u:secret@h/d",
        "postgresql://u:secret@h:port/d",
        "nonsense://u:secret@h/d",
    ],
)
def test_other_urls_are_refused_without_their_password(url):
    with pytest.raises(InvalidInput) as caught:
        Registry.open(url)
    assert "sqlite:////folder/modelhub.db" in caught.value.hint
    assert "secret" not in str(caught.value)
    assert caught.value.details["field"] == "database"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@127.0.0.1:1/d?connect_timeout=2",
        "postgresql://127.0.0.1:1/d?user=u&password=secret&connect_timeout=2",
    ],
)
def test_a_server_that_is_not_there(url):
    with pytest.raises(DatabaseUnavailable) as caught:
        Registry.open(url)
    assert "127.0.0.1:1/d" in caught.value.message
    assert "server runs" in caught.value.hint
    assert "secret" not in f"{caught.value!s}{caught.value.details}{caught.value.__cause__!s}"
    assert "secret" not in Registry.shown(url)


def test_a_database_that_is_not_there(postgres_url):
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        Registry.open(postgres_url.replace("/postgres?", "/nowhere?"))


def test_without_psycopg_the_install_line_is_given(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseUnavailable, match="psycopg") as caught:
        Registry.open("postgresql://u:secret@h/d")
    assert caught.value.hint == 'pip install "modelhub[postgres]"'
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, this is no database. " * 100)
    with pytest.raises(DatabaseUnavailable, match="not a database") as caught:
        Registry.open(sqlite_url(path))
    assert "something else" in caught.value.hint
    assert path.read_text().startswith("Dear diary")


def test_a_folder_that_is_no_file(tmp_path):
    with pytest.raises(DatabaseUnavailable, match="unable to open"):
        Registry.open(sqlite_url(tmp_path))


def test_a_folder_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseUnavailable, match="cannot be created"):
        Registry.open(sqlite_url(tmp_path / "file" / "modelhub.db"))


@pytest.fixture
def public_folder():
    """A folder that every user may look into, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_folder_that_may_not_be_written(public_folder, tmp_path):
    (public_folder / "closed").mkdir(mode=0o555)
    script = """
        import os, sys
        from modelhub.errors import DatabaseUnavailable
        from modelhub.registry import Registry
        Registry.open(sys.argv[1]).close()
        if os.geteuid() == 0:  # for whom nothing is forbidden
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        try:
            Registry.open(sys.argv[2])
        except DatabaseUnavailable as error:
            print(error.message, error.hint)
    """
    closed = public_folder / "closed" / "modelhub.db"
    done = run(script, sqlite_url(tmp_path / "modelhub.db"), sqlite_url(closed))
    assert "unable to open" in done
    assert "may write" in done


def run(script, *args):
    command = [sys.executable, "-c", textwrap.dedent(script), *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_database_that_became_unreadable(tmp_path):
    path = tmp_path / "modelhub.db"
    registry = Registry.open(sqlite_url(path))
    register(registry)
    registry.close()
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)

    def use():
        opened = Registry.open(sqlite_url(path))
        try:
            register(opened)
        finally:
            opened.close()

    with pytest.raises(ModelHubError) as caught:
        use()
    assert "malformed" in caught.value.message


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(DatabaseUnavailable, match=r"needs SQLite 3\.35"):
        Registry.open(sqlite_url(tmp_path / "modelhub.db"))


def test_opening_waits_for_a_process_that_has_the_file_to_itself(tmp_path):
    path = tmp_path / "modelhub.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    timer = threading.Timer(0.3, other.rollback)
    timer.start()
    Registry.open(sqlite_url(path)).close()
    timer.join()
    other.close()


def test_another_programs_file_is_left_alone(tmp_path):
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    other.close()
    with pytest.raises(SchemaMismatch, match="belongs to another program: it has a table 'bookmarks'"):
        Registry.open(sqlite_url(path))
    with sqlite3.connect(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmarks",)]
    other.close()


def test_opening_a_current_database_imports_no_alembic(tmp_path):
    url = sqlite_url(tmp_path / "modelhub.db")
    Registry.open(url).close()
    script = """
        import sys
        from modelhub.registry import Registry
        registry = Registry.open(sys.argv[1])
        with registry.read() as tx:
            tx.repos.list(1)
        registry.close()
        print([name for name in sys.modules if name.partition(".")[0] in ("alembic", "psycopg")])
    """
    assert run(script, url).strip() == "[]"


def test_a_closed_registry_is_not_used(registry):
    registry.close()
    registry.close()
    for transaction in (registry.begin, registry.read):
        with pytest.raises(HubClosed), transaction():
            pass


def test_the_url_is_shown_without_its_password(database_url):
    url = database_url.replace("postgres:@", "postgres:secret@")
    registry = Registry.open(url)
    assert "secret" not in registry.url
    assert registry.url == Registry.shown(url)
    registry.close()


def test_the_copy_of_an_open_database_is_whole(tmp_path):
    """The log is part of the database: a copy of all its files opens, with what was committed."""
    registry = Registry.open(sqlite_url(tmp_path / "a" / "modelhub.db"))
    register(registry)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    registry.close()
    copy = Registry.open(sqlite_url(tmp_path / "b" / "modelhub.db"))
    with copy.read() as tx:
        assert len(tx.repos.list(10)) == 1
    copy.close()
