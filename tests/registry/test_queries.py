"""The questions of the hot path are answered from indexes, on a database of some size."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, text

from modelhub.facts import BlobRecord, BlobState, JobKind, RepoId
from modelhub.registry import Registry, StoreKey, StoreLedger
from tests.registry.samples import COMMIT, FILES, OTHER, QWEN, digest, listing, model, saved


@pytest.fixture
def registry(tmp_path):
    opened = Registry.open(f"sqlite:///{tmp_path}/modelhub.db")
    yield opened
    opened.close()


@contextmanager
def plans(registry, engine):
    """Collects how SQLite answers each SELECT, UPDATE and DELETE that is made meanwhile."""
    found = {}

    def explain(connection, cursor, statement, parameters, context, many):
        if statement.startswith(("SELECT", "UPDATE", "DELETE", "WITH")):
            first = parameters[0] if many else parameters
            steps = cursor.execute("EXPLAIN QUERY PLAN " + statement, first).fetchall()
            found[statement] = [step[3] for step in steps]

    event.listen(engine, "before_cursor_execute", explain)
    yield found
    event.remove(engine, "before_cursor_execute", explain)


def bad(found):
    """Statements that go through a whole table."""
    return {
        statement: step
        for statement, steps in found.items()
        for step in steps
        if step.startswith("SCAN") and "USING" not in step and "CONSTANT ROW" not in step
    }


def ask_everything(tx, record):
    tx.repos.find("qwen3-0.6b-gguf")
    tx.repos.find("qwen3-0.6b-gguf", "qwen", "huggingface")
    tx.repos.find_by_uri("huggingface", record.source_uri)
    tx.repos.get(record.id)
    page = tx.repos.list(10)
    tx.repos.list(10, page[-1])
    for revision in (None, "main", COMMIT, COMMIT[:9], "nothing"):
        tx.revisions.resolve(record.id, revision)
    tx.revisions.refs(record.id)
    tx.revisions.listing(record.id, COMMIT)
    tx.revisions.holders(digest("one"))
    tx.models.report(record.id, COMMIT)
    tx.snapshots.find(record.id, COMMIT, store=StoreKey("file:///s", "h"))
    tx.jobs.get(1)


def test_reading_uses_indexes(registry):
    record = saved(registry, listing(), listing(OTHER))
    saved(registry, listing(repo=RepoId(source="huggingface", vendor="x", name="y")))
    with registry.begin() as tx:
        tx.models.save(record.id, COMMIT, (model(),), (), ())
    with plans(registry, registry._reader) as found:
        with registry.read() as tx:
            ask_everything(tx, record)
        StoreLedger(registry, "file:///s", host="h").find([digest("one")])
    assert len(found) >= 20
    assert bad(found) == {}


def test_pages_are_read_in_order_without_sorting(registry):
    record = saved(registry)
    with plans(registry, registry._reader) as found, registry.read() as tx:
        tx.repos.list(10)
        tx.repos.list(10, record)
    steps = [step for steps in found.values() for step in steps]
    assert len(found) == 2
    assert all("ix_model_repo_page" in step for step in steps), steps


def test_the_newest_jobs_are_read_from_the_end(registry):
    with plans(registry, registry._reader) as found, registry.read() as tx:
        tx.jobs.list(10)
    assert list(found.values()) == [["SCAN job"]]  # by number, backwards, until there are ten


def test_the_job_of_a_key_is_found_by_its_key(registry):
    with plans(registry, registry._writer) as found, registry.begin() as tx:
        tx.jobs.create(JobKind.REPO_SYNC, "k", {})
        tx.jobs.create(JobKind.REPO_SYNC, "k", {})
    (steps,) = [steps for steps in found.values() if "uq_job_dedup_key" in str(steps)]
    assert steps == ["SEARCH job USING INDEX uq_job_dedup_key (dedup_key=?)"]


def test_writing_uses_indexes(registry):
    record = saved(registry)
    with plans(registry, registry._writer) as found:
        with registry.begin() as tx:
            tx.repos.register(QWEN, source_uri="elsewhere")
            tx.revisions.save(record.id, listing())
            tx.models.save(record.id, COMMIT, (model(),), (), ())
            tx.revisions.set_digests(record.id, COMMIT, {FILES[1].path: digest("one")})
            job, _ = tx.jobs.create(JobKind.REPO_SYNC, "k", {})
            tx.jobs.create(JobKind.REPO_SYNC, "k", {})
            tx.jobs.start(job.id, "me", 60)
            tx.jobs.beat(job.id, "me", done=1, total=2, stage="", lease=60)
            tx.jobs.claim("me", {JobKind.REPO_SYNC: 60})
        blob = BlobRecord(digest=digest("one"), size=3, state=BlobState.PRESENT, path="p")
        StoreLedger(registry, "file:///s", host="h").record([blob])
    assert len(found) >= 20
    assert bad(found) == {}


def test_who_needs_bytes_is_asked_of_those_bytes_alone(registry):
    store, one = StoreKey("file:///s", "h"), digest("one")
    saved(registry)
    blob = BlobRecord(digest=one, size=3, state=BlobState.PRESENT, path="p")
    StoreLedger(registry, store.uri, host=store.host).record([blob])
    with plans(registry, registry._writer) as found, registry.begin() as tx:
        tx.garbage.spare(store)
        tx.garbage.mark(store, [one], timedelta(0))
        tx.garbage.confirm(one, store)
        tx.evictions.confirm(one, store)
        tx.leases.take(
            None, store=store, owner="h:1:a", host="h", purpose="reading", seconds=9, digests=[one]
        )
    assert len(found) >= 9
    assert [step for steps in found.values() for step in steps if step.startswith("SCAN model_")] == []


def test_the_detector_sees_a_scan(registry):
    saved(registry)
    with plans(registry, registry._reader) as found, registry.read() as tx:
        tx.session.execute(text("SELECT * FROM repo_file WHERE xet_hash = 'x'"))
    assert len(bad(found)) == 1
