"""Rows of loaded models, of calls and of allowed code, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from modelhub.errors import RevisionNotFound
from modelhub.facts import CallRecord, CallStatus, InstanceRecord, InstanceStatus, ProcessMark
from modelhub.refs import Digest
from modelhub.registry import InstanceBook
from modelhub.registry.tables import InferenceLogRow, InstanceRow
from tests.registry.samples import COMMIT, model, saved

A, B = Digest("a" * 64), Digest("b" * 64)
HERE = ProcessMark(host="here", boot_id="boot", pid=7, started=9)
LOADED = InstanceRecord(
    source="huggingface",
    repo="a/b",
    commit="0" * 40,
    model="m",
    variant="v",
    digest=A,
    config=B,
    filename="x.gguf",
    runtime="echo",
    runtime_version="1",
    device="cpu",
    predicted_bytes=1 << 40,
    measured_bytes=None,
    process=HERE,
)
CALL = CallRecord(
    timestamp=datetime(2026, 1, 2, tzinfo=UTC),
    request_id="r",
    task="text-generation",
    repo="a/b",
    latency_ms=2.5,
    timings={"acquire_ms": 1.5},
    status=CallStatus.OK,
)


def rows(registry):
    with registry.read() as tx:
        return list(tx.session.scalars(select(InstanceRow).order_by(InstanceRow.id)))


def test_a_loaded_model_has_a_row_until_it_is_unloaded(registry):
    book = InstanceBook(registry, lambda mark: False)
    number = book.add(LOADED, 30)
    (row,) = rows(registry)
    assert (row.id, row.status, row.pid, row.pid_started_ticks) == (number, "idle", 7, 9)
    assert row.predicted_bytes == 1 << 40
    book.remove(number)
    assert rows(registry) == []


def test_a_beat_renews_the_lease_and_tells_who_is_busy(registry):
    book = InstanceBook(registry, lambda mark: False)
    first, second = book.add(LOADED, 30), book.add(LOADED, 30)
    before = rows(registry)
    book.beat({first: InstanceStatus.BUSY, second: InstanceStatus.IDLE}, 300)
    busy, idle = rows(registry)
    assert (busy.status, idle.status) == ("busy", "idle")
    assert busy.lease_until - before[0].lease_until > timedelta(seconds=200)
    assert busy.last_used_at > before[0].last_used_at
    assert idle.last_used_at == before[1].last_used_at


def test_those_are_lost_whose_process_is_gone_or_whose_lease_is_over(registry):
    gone = ProcessMark(host="here", boot_id="boot", pid=8)
    book = InstanceBook(registry, lambda mark: mark == gone)
    kept = book.add(LOADED, 300)
    dead = book.add(LOADED.model_copy(update={"process": gone}), 300)
    late = book.add(LOADED, -1)
    book.reap()
    assert {row.id: row.status for row in rows(registry)} == {kept: "idle", dead: "lost", late: "lost"}


def test_what_was_lost_is_forgotten_after_a_week(registry):
    book = InstanceBook(registry, lambda mark: True)
    book.add(LOADED, 30)
    book.reap()
    book.reap()
    assert len(rows(registry)) == 1
    with registry.begin() as tx:
        long_ago = datetime.now(UTC) - timedelta(days=8)
        tx.session.execute(update(InstanceRow).values(last_heartbeat_at=long_ago))
    book.reap()
    assert rows(registry) == []


def test_a_lost_one_stays_lost(registry):
    book = InstanceBook(registry, lambda mark: True)
    number = book.add(LOADED, 30)
    book.reap()
    before = rows(registry)[0].updated_at
    book.reap()
    assert rows(registry)[0].updated_at == before
    book.remove(number)
    assert rows(registry) == []


def test_calls_are_written_and_read(registry):
    book = InstanceBook(registry, lambda mark: False)
    number = book.add(LOADED, 30)
    of_it = CALL.model_copy(update={"instance": number, "digest": A, "input_size": 3})
    of_none = CALL.model_copy(
        update={"instance": 999_999, "status": CallStatus.ERROR, "error_type": "x"}
    )
    with registry.begin() as tx:
        tx.calls.add([of_it, of_none])
    with registry.read() as tx:
        assert tx.calls.list() == (of_none.model_copy(update={"instance": None}), of_it)
    book.remove(number)
    with registry.read() as tx:
        assert [call.instance for call in tx.calls.list()] == [None, None]
        assert tx.calls.list(limit=1)[0].error_type == "x"


def test_a_call_names_its_model(registry):
    record, known = saved(registry), model()
    with registry.begin() as tx:
        tx.models.save(record.id, COMMIT, (known,), (), ())
    book = InstanceBook(registry, lambda mark: False)
    loaded = LOADED.model_copy(
        update={
            "repo": record.repo.id,
            "commit": COMMIT,
            "model": known.name,
            "variant": known.variants[0].name,
        }
    )
    number = book.add(loaded, 30)
    with registry.begin() as tx:
        tx.calls.add([CALL.model_copy(update={"instance": number})])
    with registry.read() as tx:
        (row,) = rows(registry)
        assert row.logical_model_id is not None
        assert row.model_variant_id is not None
        logged = tx.session.scalars(select(InferenceLogRow)).one()
        assert logged.logical_model_id == row.logical_model_id


def test_code_is_allowed_for_a_commit_until_it_is_not(registry):
    record = saved(registry)
    files = {"own.py": A, "deep/er.py": B}
    with registry.begin() as tx:
        assert tx.approvals.find(record.id, COMMIT) == {}
        tx.approvals.allow(record.id, COMMIT, files)
    with registry.begin() as tx:
        assert tx.approvals.find(record.id, COMMIT) == files
        assert tx.approvals.find(record.id, "f" * 40) == {}
        tx.approvals.allow(record.id, COMMIT, {"own.py": B})
    with registry.begin() as tx:
        assert tx.approvals.find(record.id, COMMIT) == {"own.py": B}
        assert tx.approvals.revoke(record.id, COMMIT)
        assert not tx.approvals.revoke(record.id, COMMIT)
        with pytest.raises(RevisionNotFound):
            tx.approvals.allow(record.id, "f" * 40, files)
