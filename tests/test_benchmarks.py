"""What the benchmarks compare is what they say. How fast it is, they measure themselves."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from modelhub import Hub
from modelhub.facts import JobStatus
from modelhub.registry import Registry
from modelhub.registry.tables import RepoFileRow
from modelhub.runtimes.llama_server import engine
from modelhub.store import Store
from modelhub.store.fsops import FsOps
from tests.registry.catalog import FIRST
from tests.runtimes.random_gguf import write_random_gguf

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def chat_overhead(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import chat_overhead

    return chat_overhead


def test_both_sides_ask_one_engine_for_the_same_number_of_tokens(chat_overhead, monkeypatch, tmp_path):
    model = write_random_gguf(tmp_path / "x.gguf", context=512)
    monkeypatch.setattr(chat_overhead, "TOKENS", 4)
    start = engine.start_server
    with chat_overhead.loaded_servers() as servers, Hub(home=tmp_path / "home") as hub:
        assert chat_overhead.hub_tokens(hub, model, "x") == 4
        assert len(servers) == 1
        assert chat_overhead.bare_tokens(servers[0], "x") == 4
        servers.clear()
    assert engine.start_server is start


def test_the_queue_is_measured_with_jobs_that_are_done(monkeypatch, database_url):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import jobs

    registry = Registry.open(database_url)
    assert len(jobs.latency(registry, 3)) == 3
    assert jobs.throughput(registry, 4, 5) > 0
    with registry.read() as tx:
        assert [job.status for job in tx.jobs.list(99)] == [JobStatus.SUCCEEDED] * 8
    registry.close()


@pytest.fixture
def registry_scale(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import registry_catalog
    import registry_scale

    monkeypatch.setattr(registry_catalog, "REPOSITORIES", 200)
    monkeypatch.setattr(registry_catalog, "FILES", 5)
    monkeypatch.setattr(registry_catalog, "STEP", 100)
    return registry_scale


def test_the_catalog_holds_what_is_asked_of_it(registry_scale, database_url):
    with registry_scale.catalog.opened(database_url) as registry:
        registry_scale.catalog.build(registry)
        with registry.read() as tx:
            count = tx.session.scalar(select(func.count()).select_from(RepoFileRow))
            assert len(tx.repos.list(1000)) == 200
            assert tx.models.report(FIRST, f"{FIRST:040x}").models[0].variants[1].components[0].files
        assert count == 1000
        for ask, _, _ in registry_scale.QUESTIONS.values():
            assert len(registry_scale.alone(registry, ask, 5)) == 5
        assert len(registry_scale.beside_a_writer(registry, registry_scale.resolve, seconds=1)) == 64
        assert len(registry_scale.steps(registry)) >= 30


def test_a_sync_is_measured_for_a_thousand_files(registry_scale, tmp_path):
    folder = registry_scale.thousand_files(tmp_path / "repo", 1)
    assert sum(path.is_file() for path in folder.rglob("*")) == 1000
    (seconds,) = registry_scale.syncs(f"sqlite:///{tmp_path}/modelhub.db", 1)
    assert seconds > 0


def test_what_is_verified_is_read_by_full_alone(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import verify

    reads = []
    pread = FsOps.pread
    monkeypatch.setattr(FsOps, "pread", lambda *given: reads.append(given) or pread(*given))
    for _, ledger in verify.ledgers(tmp_path):
        with Store.open(tmp_path / "store", ledger) as store:
            digest = verify.stored(store, 1_500_000, 7)
            reads.clear()
            verify.use(store, [digest])
            assert reads == []
            verify.full(store, digest)
            assert reads
            assert verify.plain(store.path(digest)) > 0
    assert digest == verify.Digest.of(store.path(digest).read_bytes())
