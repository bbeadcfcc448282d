"""Jobs: a row that tells the truth, on both databases."""

import threading
import time

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded, IntegrityError, JobFailed, JobNotFound
from modelhub.facts import Call, JobKind, JobStatus
from modelhub.jobs import Jobs
from modelhub.jobs import engine as module
from modelhub.registry import Registry

KIND = JobKind.ARTIFACT_DOWNLOAD


@pytest.fixture
def registry(database_url):
    opened = Registry.open(database_url)
    yield opened
    opened.close()


@pytest.fixture
def jobs(registry, monkeypatch):
    monkeypatch.setattr(module, "BEAT_SECONDS", 0.0)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.01)
    return Jobs(registry)


def test_the_row_has_input_output_progress_and_times(jobs):
    seen = []

    def work(context):
        context.progress("fetch", 1, 10)
        assert jobs.get(context.job.id).status is JobStatus.RUNNING
        assert jobs.get(context.job.id).done == 1
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
        context.progress("fetch", 1)
        raise AssertionError("it went on")

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


def test_who_lost_the_lease_stops(jobs, registry):
    def work(context):
        with registry.begin() as tx:
            tx.jobs.beat(context.job.id, jobs._owner, done=0, total=None, stage="", lease=-1)
            assert tx.jobs.start(context.job.id, "another", 60)
        context.check()
        raise AssertionError("it went on")

    with pytest.raises(Cancelled, match="taken over"):
        jobs.run(KIND, "key", {}, work)
    assert jobs.list()[0].status is JobStatus.RUNNING


def test_an_unknown_job(jobs):
    with pytest.raises(JobNotFound):
        jobs.get(12345)
    with pytest.raises(JobNotFound):
        jobs.cancel(12345)
