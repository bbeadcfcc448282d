"""What a transaction promises."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

from modelhub.errors import DatabaseUnavailable, ModelHubError, RegistryError
from modelhub.registry import Registry, engine
from tests.registry.samples import QWEN, RepoId, only_postgres, only_sqlite, register


def names(tx):
    return [record.repo.name for record in tx.repos.list(100)]


def test_an_error_undoes_everything(registry):
    class Stop(Exception):
        pass

    def stopped():
        with registry.begin() as tx:
            tx.repos.register(QWEN, source_uri="x")
            tx.jobs.create("repo_sync", "k", {})
            raise Stop

    with pytest.raises(Stop):
        stopped()
    with registry.read() as tx:
        assert names(tx) == []
        assert tx.jobs.list(10) == ()


def test_a_reader_sees_one_moment(registry):
    register(registry)
    with registry.read() as tx:
        assert names(tx) == [QWEN.name]
        register(registry, RepoId(source="huggingface", vendor="a", name="later"))
        assert names(tx) == [QWEN.name]
    with registry.read() as tx:
        assert len(names(tx)) == 2


def test_a_reader_cannot_write(registry):
    with pytest.raises(ModelHubError, match=r"read-?only"), registry.read() as tx:
        tx.repos.register(QWEN, source_uri="x")
    with registry.read() as tx:
        assert names(tx) == []


def test_a_statement_that_the_database_refuses(registry):
    with pytest.raises(RegistryError, match="refused a statement") as caught, registry.begin() as tx:
        tx.session.execute(text("INSERT INTO store (uri) VALUES (NULL)"))
    assert not isinstance(caught.value, DatabaseUnavailable)


def test_what_a_check_forbids(registry):
    job = "INSERT INTO lease (store_id, owner, host, purpose, expires_at, created_at, updated_at) "
    values = "VALUES (77, 'o', 'h', 'p', '2026-01-01', '2026-01-01', '2026-01-01')"
    with pytest.raises(RegistryError, match=r"(?i)foreign key"), registry.begin() as tx:
        tx.session.execute(text(job + values))
    record = register(registry)
    with pytest.raises(RegistryError, match="ck_model_repo_sync_status"), registry.begin() as tx:
        tx.session.execute(
            text("UPDATE model_repo SET sync_status = 'odd' WHERE id = :id"), {"id": record.id}
        )


def test_threads_share_a_registry(registry):
    """More writers than connections: they wait in line, and each finds what it wrote."""

    def work(number):
        for turn in range(5):
            repo = RepoId(source="huggingface", vendor=f"v{number}", name=f"n{turn}")
            record = register(registry, repo)
            with registry.read() as tx:
                assert tx.repos.find(repo.name, repo.vendor) == (record,)

    with ThreadPoolExecutor(24) as crowd:
        list(crowd.map(work, range(24)))
    with registry.read() as tx:
        assert len(tx.repos.list(1000)) == 24 * 5


def test_a_transaction_within_one_is_refused_at_once(registry):
    with registry.begin() as tx:
        with pytest.raises(RegistryError, match="within"), registry.begin():
            pass
        with registry.read() as inner:
            assert names(inner) == []
        tx.repos.register(QWEN, source_uri="x")
    register(registry)  # the refusal left nothing behind


@pytest.fixture
def other_process(registry):
    """A connection to the same SQLite file that is not the registry's, now writing."""
    other = sqlite3.connect(
        registry.url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    yield other
    other.close()


@only_sqlite
def test_a_writer_waits_for_another_process(registry, other_process):
    timer = threading.Timer(0.3, other_process.rollback)
    timer.start()
    register(registry)
    timer.join()


@only_sqlite
def test_a_writer_does_not_wait_for_ever(registry, other_process, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with pytest.raises(DatabaseUnavailable, match="locked") as caught:
        register(registry)
    assert "Another process" in caught.value.hint
    with registry.read() as tx:
        assert names(tx) == []
    other_process.rollback()
    register(registry)


@only_sqlite
def test_a_thread_does_not_wait_for_ever_for_another(database_url, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    registry = Registry.open(database_url)
    with ThreadPoolExecutor(1) as other, registry.begin() as tx:
        tx.repos.register(QWEN, source_uri="x")
        with pytest.raises(DatabaseUnavailable, match="came free in time"):
            other.submit(register, registry).result()
    registry.close()


@only_postgres
def test_a_server_that_cut_its_connections_is_reached_again(registry, postgres_url):
    register(registry)
    with psycopg.connect(postgres_url.replace("+psycopg", "", 1), autocommit=True) as admin:
        # The number is how long to wait until they are gone, in milliseconds.
        cut = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = 'current'"
        assert all(done for (done,) in admin.execute(cut))
    with registry.read() as tx:
        assert names(tx) == [QWEN.name]


@only_postgres
def test_a_server_that_takes_no_writes_for_a_while_is_unavailable(registry):
    def write():
        with registry.begin() as tx:
            tx.session.execute(text("SET TRANSACTION READ ONLY"))
            tx.repos.register(QWEN, source_uri="x")

    with pytest.raises(DatabaseUnavailable, match="read-only") as caught:
        write()
    assert "a standby" in caught.value.hint


def test_two_registries_on_one_database(registry, database_url):
    register(registry)
    other = Registry.open(database_url)
    with other.begin() as tx:
        assert names(tx) == [QWEN.name]
        tx.repos.forget(tx.repos.find(QWEN.name)[0].id)
    other.close()
    with registry.read() as tx:
        assert names(tx) == []


def test_one_repository_registered_by_many_at_once(registry):
    with ThreadPoolExecutor(8) as crowd:
        found = list(crowd.map(lambda _: register(registry).id, range(8)))
    assert len(found) == 8
    assert len(set(found)) == 1
