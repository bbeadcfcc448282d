"""Jobs: a row that tells the truth, on both databases."""

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from modelhub.errors import (
    Cancelled,
    DatabaseUnavailable,
    DeadlineExceeded,
    IntegrityError,
    JobFailed,
    JobNotFound,
)
from modelhub.facts import Call, JobKind, JobStatus
from modelhub.jobs import Jobs, beat, engine
from modelhub.registry import Registry

KIND = JobKind.ARTIFACT_DOWNLOAD


@pytest.fixture
def registry(database_url):
    opened = Registry.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def jobs(registry, monkeypatch):
    monkeypatch.setattr(beat, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.01)
    return Jobs(registry)


def until(true, most=10.0):
    """Ask until it is true; what it raises goes through."""
    end = time.monotonic() + most
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.01)


def test_the_row_has_input_output_progress_and_times(jobs):
    seen = []

    def work(context):
        context.progress("fetch", 1, 10)
        assert jobs.get(context.job.id).status is JobStatus.RUNNING
        assert jobs.get(context.job.id).owner
        until(lambda: jobs.get(context.job.id).done == 1)
        context.progress("fetch", 10, 10)
        return {"bytes": 10}

    assert jobs.run(KIND, "key", {"repo": "a/b"}, work, on_progress=seen.append) == {"bytes": 10}
    (job,) = jobs.list()
    assert (job.status, job.key, job.input, job.output) == (
        JobStatus.SUCCEEDED,
        "key",
        {"repo": "a/b"},
        {"bytes": 10},
    )
    assert (job.done, job.total, job.stage, job.error) == (10, 10, "fetch", None)
    assert job.created_at <= job.started_at <= job.finished_at
    assert [progress.done for progress in seen] == [1, 10]
    assert "succeeded" in str(job)


def test_an_error_of_ours_is_kept_whole(jobs):
    def work(_):
        raise IntegrityError("wrong bytes", hint="Try again.", path="a", expected="x", actual="y")

    with pytest.raises(IntegrityError):
        jobs.run(KIND, "key", {}, work)
    (job,) = jobs.list()
    assert job.status is JobStatus.FAILED
    assert (
        job.error
        == IntegrityError("wrong bytes", hint="Try again.", path="a", expected="x", actual="y").to_dict()
    )


def test_any_other_error_is_raised_and_told(jobs):
    with pytest.raises(ZeroDivisionError):
        jobs.run(KIND, "key", {}, lambda _: 1 // 0)
    assert jobs.list()[0].error["code"] == "job_failed"
    assert "ZeroDivisionError" in jobs.list()[0].error["message"]


def test_ctrl_c_ends_the_job_too(jobs):
    def work(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.run(KIND, "key", {}, work)
    assert jobs.list()[0].status is JobStatus.CANCELLED


def test_the_same_key_at_the_same_time_is_one_job(jobs):
    started, go = threading.Event(), threading.Event()
    runs, outputs = [], []

    def work(context):
        runs.append(context.job.id)
        started.set()
        go.wait(30)
        return {"n": 1}

    def ask():
        outputs.append(jobs.run(KIND, "key", {}, work))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    threads[0].start()
    assert started.wait(30)
    for thread in threads[1:]:
        thread.start()
    time.sleep(0.1)
    go.set()
    for thread in threads:
        thread.join(30)
    assert outputs == [{"n": 1}] * 3
    assert len(runs) == len(jobs.list()) == 1


def test_whoever_waits_gets_the_error_too(jobs):
    started, go = threading.Event(), threading.Event()
    errors = []

    def work(_):
        started.set()
        go.wait(30)
        raise JobFailed("no luck")

    def ask():
        try:
            jobs.run(KIND, "key", {}, work)
        except JobFailed as error:
            errors.append(error.message)

    threads = [threading.Thread(target=ask) for _ in range(2)]
    threads[0].start()
    assert started.wait(30)
    threads[1].start()
    time.sleep(0.1)
    go.set()
    for thread in threads:
        thread.join(30)
    assert errors == ["no luck"] * 2


def test_cancel_stops_it_at_its_next_step(jobs):
    def work(context):
        jobs.cancel(context.job.id)
        until(context.check)

    with pytest.raises(Cancelled):
        jobs.run(KIND, "key", {}, work)
    assert jobs.list()[0].status is JobStatus.CANCELLED
    assert jobs.cancel(jobs.list()[0].id).status is JobStatus.CANCELLED


def test_a_deadline_holds_for_the_work_and_for_whoever_waits(jobs, registry):
    def work(context):
        time.sleep(0.05)
        context.check()

    with pytest.raises(DeadlineExceeded):
        jobs.run(KIND, "key", {}, work, call=Call(timeout=0.01))
    with registry.begin() as tx:
        job, _ = tx.jobs.create(KIND, "other", {})
        tx.jobs.start(job.id, "somebody else", 60)
    with pytest.raises(DeadlineExceeded):
        jobs.run(KIND, "other", {}, work, call=Call(timeout=0.05))


def test_a_job_whose_process_died_is_taken_over(jobs, registry):
    with registry.begin() as tx:
        job, _ = tx.jobs.create(KIND, "key", {})
        tx.jobs.start(job.id, "a process that dies", 0.05)
    assert jobs.run(KIND, "key", {}, lambda _: {"again": True}) == {"again": True}
    assert jobs.get(job.id).attempt == 2


def test_who_lost_the_lease_stops_and_waits_for_the_other(jobs, registry):
    def work(context):
        runs.append(context.job.attempt)
        if len(runs) == 1:
            with registry.begin() as tx:
                tx.jobs.abandon(context.job.id, context.job.owner)
                assert tx.jobs.start(context.job.id, "another", 0.2)
        until(context.check, most=0.5)
        return {"done": True}

    runs = []
    assert jobs.run(KIND, "key", {}, work) == {"done": True}
    assert runs == [1, 3]


def test_a_silent_step_longer_than_the_lease_keeps_the_job(jobs, monkeypatch):
    monkeypatch.setattr(beat, "FETCH_LEASE_SECONDS", 0.1)
    monkeypatch.setattr(beat, "FETCH_BEAT_SECONDS", 0.02)
    runs = []

    def work(context):
        runs.append(context.job.attempt)
        time.sleep(0.6)
        context.check()
        return {}

    other = threading.Thread(target=lambda: jobs.run(KIND, "key", {}, work))
    other.start()
    time.sleep(0.1)
    jobs.run(KIND, "key", {}, work)
    other.join(30)
    assert runs == [1]


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Cancelled("enough"), KeyboardInterrupt()])
def test_who_waited_for_one_that_gave_up_does_it_again(jobs, error):
    started, go = threading.Event(), threading.Event()

    def give_up(_):
        started.set()
        go.wait(30)
        raise error

    def first():
        with pytest.raises(type(error)):
            jobs.run(KIND, "key", {}, give_up)

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(30)
    threading.Timer(0.1, go.set).start()
    assert jobs.run(KIND, "key", {}, lambda _: {"again": True}) == {"again": True}
    thread.join(30)


def test_whoever_waits_is_cancelled_with_a_job_that_was_cancelled_by_name(jobs):
    started = threading.Event()

    def work(context):
        started.set()
        until(context.check, most=30)
        return {}

    def first():
        with pytest.raises(Cancelled):
            jobs.run(KIND, "key", {}, work)

    thread = threading.Thread(target=first)
    thread.start()
    assert started.wait(30)
    threading.Timer(0.1, lambda: jobs.cancel(jobs.list()[0].id)).start()
    with pytest.raises(Cancelled):
        jobs.run(KIND, "key", {}, work)
    thread.join(30)
    assert len(jobs.list()) == 1


def test_a_process_of_this_machine_that_is_gone_is_not_waited_for(jobs, registry):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait(30)
    with registry.begin() as tx:
        job, _ = tx.jobs.create(KIND, "key", {})
        tx.jobs.start(job.id, f"{socket.gethostname()}:{child.pid}:x", 3600)
    assert jobs.run(KIND, "key", {}, lambda _: {"mine": True}, call=Call(timeout=30)) == {"mine": True}


def test_one_lost_beat_is_not_the_end(jobs, registry, monkeypatch):
    lost = []

    def fail_once(self, tx):
        if not lost:
            lost.append(True)
            raise DatabaseUnavailable("away for a moment")
        return write(self, tx)

    write = beat.Heart.write
    monkeypatch.setattr(beat.Heart, "write", fail_once)

    def work(context):
        context.progress("x", 1)
        until(lambda: lost)
        time.sleep(0.1)
        context.check()
        return {"fine": True}

    assert jobs.run(KIND, "key", {}, work) == {"fine": True}


def test_an_error_with_odd_details_is_written_down(jobs):
    def work(_):
        raise IntegrityError("wrong", path=Path("/a/b"), many={1, 2})

    with pytest.raises(IntegrityError):
        jobs.run(KIND, "key", {}, work)
    assert jobs.list()[0].error["details"] == {"path": "/a/b", "many": [1, 2]}


def test_an_unknown_job(jobs):
    with pytest.raises(JobNotFound):
        jobs.get(12345)
    with pytest.raises(JobNotFound):
        jobs.cancel(12345)
