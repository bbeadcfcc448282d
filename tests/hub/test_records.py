"""What is written down of calls and of loaded models, whichever way they end. Never what was said."""

import gc
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import inspect, select, text

from modelhub.errors import (
    Cancelled,
    DatabaseUnavailable,
    DeadlineExceeded,
    EngineError,
    InvalidInput,
    NotFound,
)
from modelhub.hub import recorder
from modelhub.registry import Registry
from modelhub.registry.tables import InstanceRow
from modelhub.runtimes.echo import EchoInstance
from modelhub.tasks import chat_request
from tests.hub.conftest import MODEL

REF = f"{MODEL}:q8_0"
CANARY = "xyzzy-canary"
ROOT = Path(__file__).resolve().parents[2]


def calls(hub):
    """Every call so far; the Hub writes down what waits first."""
    hub._answering.recorder.flush()
    with hub._registry.read() as tx:
        return tx.calls.list()


def instances(url):
    registry = Registry.open(url)
    try:
        with registry.read() as tx:
            return [(row.status, row.pid) for row in tx.session.scalars(select(InstanceRow))]
    finally:
        registry.close()


def test_an_answer_has_a_row(hub):
    reply = hub.chat(REF, "one two three", runtime="echo")
    (call,) = calls(hub)
    assert (call.status, call.error_type, call.error_message) == ("ok", None, None)
    assert (call.task, call.repo, call.variant, call.runtime) == (
        "text-generation",
        MODEL,
        "q8_0",
        "echo",
    )
    assert (call.input_size, call.output_size) == (3, 3)
    assert call.digest == reply.provenance.digest
    assert call.filename == reply.provenance.files[0].path
    assert 0 < call.timings["acquire_ms"] <= call.latency_ms
    assert call.instance is not None


@pytest.mark.parametrize("leave", ["read", "close", "drop", "never"])
def test_a_stream_has_one_row_however_it_ends(hub, leave):
    stream = hub.chat(REF, "one two three", runtime="echo", stream=True)
    if leave == "read":
        list(stream)
    elif leave != "never":
        next(stream)
    if leave == "close":
        stream.close()
        stream.close()
    del stream
    gc.collect()
    (call,) = calls(hub)
    assert call.status == ("ok" if leave == "read" else "cancelled")
    assert call.error_type is None
    assert ("first_ms" in call.timings) == (leave != "never")
    assert call.output_size == (3 if leave == "read" else None)


def test_errors_have_their_code_and_no_words(hub, monkeypatch):
    def fail(*_):
        raise RuntimeError(CANARY)

    monkeypatch.setattr(EchoInstance, "infer", fail)
    with pytest.raises(EngineError):
        hub.chat(REF, "x", runtime="echo")
    with pytest.raises(DeadlineExceeded):
        list(hub.chat(REF, "x " * 100, runtime="echo", options={"delay": 1}, timeout=0.2, stream=True))
    with pytest.raises(NotFound):
        hub.chat("zoo/no-such-model", "x")
    missing, late, failed = calls(hub)
    assert (failed.status, failed.error_type, failed.error_message) == ("error", "engine_error", None)
    assert (late.status, late.error_type) == ("error", "deadline_exceeded")
    assert "timeout passed" in late.error_message
    assert (missing.status, missing.error_type, missing.runtime) == ("error", "repository_not_found", "")


def test_nothing_that_was_said_is_in_any_table_or_log(hub, caplog, tmp_path):
    with caplog.at_level(logging.DEBUG):
        hub.chat(REF, f"{CANARY} one", runtime="echo")
        list(hub.chat(REF, f"{CANARY} two", runtime="echo", stream=True, stop=[f"{CANARY}!"]))
        with pytest.raises(Exception):  # noqa: B017 - whatever it is, it is not to be written down
            hub.chat(REF, [{"role": CANARY, "content": CANARY}], runtime="echo")
        calls(hub)
    for record in caplog.records:
        assert CANARY not in record.getMessage() + repr(vars(record))
    with hub._registry.read() as tx:
        for table in inspect(tx.session.get_bind()).get_table_names():
            for row in tx.session.execute(text(f'SELECT * FROM "{table}"')):
                assert CANARY not in repr(row)


@pytest.mark.parametrize("verb", ["run", "stream"])
def test_what_is_no_task_is_refused_and_not_written_down(hub, caplog, verb):
    request = chat_request("x")
    with caplog.at_level(logging.DEBUG):
        for task in (f"{CANARY} " * 50, 5):
            with pytest.raises(InvalidInput) as caught:
                getattr(hub, verb)(task, REF, request, runtime="echo")
            assert caught.value.details["field"] == "task"
    assert calls(hub) == ()
    assert CANARY not in "".join(repr(vars(record)) for record in caplog.records)


def test_a_task_is_written_down_by_its_id(hub):
    hub.run("llm", REF, chat_request("x"), runtime="echo")
    list(hub.stream("chat", REF, chat_request("x"), runtime="echo"))
    assert [call.task for call in calls(hub)] == ["text-generation"] * 2


def test_many_calls_are_written_together(hub, monkeypatch):
    written = []
    begin = Registry.begin

    def counted(registry):
        written.append(1)
        return begin(registry)

    hub.chat(REF, "x", runtime="echo")
    calls(hub)
    monkeypatch.setattr(Registry, "begin", counted)
    for _ in range(200):
        hub.chat(REF, "x", runtime="echo")
    calls(hub)
    assert len(written) < 50  # a few, unless the machine is busy with other things
    assert len(calls(hub)) == 100  # the last hundred


def test_after_close_the_log_is_complete(make_hub):
    hub = make_hub()
    for _ in range(20):
        hub.chat(REF, "x", runtime="echo")
    open_stream = hub.chat(REF, "one two", runtime="echo", stream=True)
    next(open_stream)
    hub.close()
    with make_hub()._registry.read() as tx:
        found = tx.calls.list(limit=1000)
    assert [call.status for call in found] == ["cancelled", *["ok"] * 20]


def test_a_database_that_is_away_loses_no_call(hub, monkeypatch):
    monkeypatch.setattr(recorder, "PAUSE", 0.01)
    begin, away = Registry.begin, [True]

    def gone(registry):
        if away:
            raise DatabaseUnavailable("it is away")
        return begin(registry)

    hub.chat(REF, "x", runtime="echo")
    monkeypatch.setattr(Registry, "begin", gone)
    for _ in range(5):
        assert hub.chat(REF, "x", runtime="echo").text == "x"
    time.sleep(0.2)
    away.clear()
    until = time.monotonic() + 20
    hub.chat(REF, "x", runtime="echo")
    while len(calls(hub)) < 7 and time.monotonic() < until:
        time.sleep(0.05)
    assert len(calls(hub)) == 7


def test_a_call_that_the_database_refuses_costs_no_other(hub, monkeypatch, caplog):
    monkeypatch.setattr(recorder, "PAUSE", 60)
    for number in range(5):
        hub.chat(REF, f"{CANARY} {number}", runtime="echo")
    waiting = hub._answering.recorder._waiting
    waiting[2] = refused = waiting[2].model_copy(update={"input_size": 1 << 70})
    kept = [call.request_id for call in waiting if call is not refused]
    assert [call.request_id for call in calls(hub)] == kept[::-1]
    (told,) = [record for record in caplog.records if record.message == "call_refused"]
    assert (told.levelname, told.request_id, told.error_type) == (
        "ERROR",
        refused.request_id,
        "registry_error",
    )
    assert "64 bits" in told.reason
    assert CANARY not in repr(vars(told))
    hub.close()
    assert "calls_lost" not in caplog.text


def test_a_database_that_goes_away_between_two_calls_gets_neither_twice(hub, monkeypatch):
    monkeypatch.setattr(recorder, "PAUSE", 60)
    for number in range(4):
        hub.chat(REF, str(number), runtime="echo")
    waiting = hub._answering.recorder._waiting
    waiting[0] = waiting[0].model_copy(update={"input_size": 1 << 70})
    begin, begun = Registry.begin, []

    def sometimes(registry):
        begun.append(1)
        if len(begun) == 4:
            raise DatabaseUnavailable("it is away")
        return begin(registry)

    monkeypatch.setattr(Registry, "begin", sometimes)
    hub._answering.recorder.flush()
    assert len(waiting) == 2
    assert len({call.request_id for call in calls(hub)}) == len(calls(hub)) == 3


def test_too_many_that_wait_are_counted(hub, monkeypatch, caplog):
    monkeypatch.setattr(recorder, "MOST", 3)
    monkeypatch.setattr(recorder, "PAUSE", 60)
    for _ in range(10):
        hub.chat(REF, "x", runtime="echo")
    hub.close()
    (lost,) = [record for record in caplog.records if record.message == "calls_lost"]
    assert 5 <= lost.count <= 7


# Loaded models


@pytest.mark.parametrize("host", ["thread", "process"])
def test_a_loaded_model_has_a_row_with_the_process_that_holds_it(make_hub, host):
    hub = make_hub(host=host)
    hub.chat(REF, "x", runtime="echo")
    with hub._registry.read() as tx:
        row = tx.session.scalars(select(InstanceRow)).one()
        assert row.status == "idle"
        assert (row.pid == os.getpid()) == (host == "thread")
        assert row.pid_started_ticks is not None
        assert (row.measured_bytes or 0) > (0 if host == "process" else -1)
    hub._serving.instances._heart.beat()
    url = hub.settings.database
    hub.close()
    assert instances(url) == []


def test_a_dead_child_leaves_no_row_and_the_next_call_is_served(make_hub):
    hub = make_hub(host="process")
    assert hub.chat(REF, "x", runtime="echo").text == "x"
    (before,) = instances(hub.settings.database)
    os.kill(before[1], signal.SIGKILL)
    until = time.monotonic() + 20
    while instances(hub.settings.database):
        assert time.monotonic() < until
        hub._serving.instances._heart.beat()
    assert hub.chat(REF, "y", runtime="echo").text == "y"
    (after,) = instances(hub.settings.database)
    assert after[1] != before[1]


KILLED = """
import os, sys
from modelhub import Hub
hub = Hub(home=sys.argv[1], host=sys.argv[2], offline=True)
hub.chat(sys.argv[3], "x", runtime="echo")
print("loaded", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("host", ["thread", "process"])
def test_a_program_that_was_killed_leaves_no_row_alive(make_hub, tmp_path, host):
    hub = make_hub()
    hub.chat(REF, "x", runtime="echo")
    hub.close()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "home"), host, REF]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as program:
        assert program.stdout.readline() == "loaded\n"
        assert [status for status, _ in instances(hub.settings.database)] == ["idle"]
        make_hub()
        assert [status for status, _ in instances(hub.settings.database)] == ["idle"]
        program.kill()
        program.wait()
    make_hub().close()
    until = time.monotonic() + 20
    while [status for status, _ in instances(hub.settings.database)] != ["lost"]:
        assert time.monotonic() < until
        make_hub().close()


def test_a_cancelled_caller_is_told_apart(hub):
    stream = hub.chat(REF, "x " * 100, runtime="echo", options={"delay": 0.1}, stream=True)
    next(stream)
    hub._calls._running.clear()
    stream._cancel()
    with pytest.raises(Cancelled):
        list(stream)
    assert calls(hub)[0].status == "cancelled"
