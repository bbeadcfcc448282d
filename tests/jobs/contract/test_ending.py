"""How a job ends: tried again, or cancelled."""

import threading

import pytest

from modelhub.errors import (
    AccessDenied,
    Cancelled,
    InvalidInput,
    JobFailed,
    RepositoryNotFound,
    SourceUnavailable,
    StoreFull,
)
from modelhub.facts import Call, JobStatus
from modelhub.jobs import retries
from tests.jobs.contract.work import PATIENCE, Flaky, echo, handler, stop_at_a_step, until


def test_what_may_pass_is_tried_again_and_what_may_not_is_final(make_jobs):
    passing = Flaky(SourceUnavailable("reset"), ConnectionResetError("reset"), TimeoutError("slow"))
    jobs = make_jobs(handler(passing))
    job = jobs.wait(jobs.submit("note", text="x").id, timeout=PATIENCE)
    assert (job.attempt, job.error, passing.attempts) == (4, None, [1, 2, 3, 4])
    for error in (
        RepositoryNotFound("404"),
        AccessDenied("401"),
        InvalidInput("no"),
        ZeroDivisionError(),
    ):
        final = Flaky(error)
        jobs = make_jobs(handler(final, kind=type(error).__name__))
        with pytest.raises((type(error), JobFailed)):
            jobs.wait(jobs.submit(type(error).__name__, text="x").id, timeout=PATIENCE)
        assert final.attempts == [1]


def test_there_is_an_end_to_it(make_jobs):
    flaky = Flaky(*[SourceUnavailable("away")] * 9)
    jobs = make_jobs(handler(flaky))
    with pytest.raises(SourceUnavailable):
        jobs.wait(jobs.submit("note", text="x").id, timeout=PATIENCE)
    assert flaky.attempts == [1, 2, 3, 4, 5]


def test_what_waits_to_be_tried_again_says_why(make_jobs, monkeypatch):
    monkeypatch.setitem(retries.RETRIES, SourceUnavailable, retries.Backoff(60.0))
    jobs = make_jobs(handler(Flaky(SourceUnavailable("away"))))
    job = jobs.submit("note", text="x")
    until(lambda: jobs.get(job.id).error)
    assert jobs.get(job.id).status is JobStatus.QUEUED
    assert "away" in str(jobs.get(job.id))
    assert jobs.cancel(job.id).status is JobStatus.CANCELLED


def test_retry_submits_an_ended_job_again(make_jobs):
    flaky = Flaky(StoreFull("no room"))
    jobs = make_jobs(handler(flaky))
    job = jobs.submit("note", text="x", priority=3)
    with pytest.raises(StoreFull):
        jobs.wait(job.id, timeout=PATIENCE)
    again = jobs.retry(job.id)
    assert (again.id != job.id, again.input, again.priority) == (True, job.input, 3)
    assert jobs.wait(again.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
    idle = make_jobs(handler(echo), threads=0, place="elsewhere")
    with pytest.raises(InvalidInput, match="queued"):
        idle.retry(idle.submit("note", text="y").id)


def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_at_its_next_step(make_jobs):
    jobs = make_jobs(handler(lambda _payload, context: stop_at_a_step(context)))
    job = jobs.submit("note", text="x")
    until(lambda: jobs.get(job.id).status is JobStatus.RUNNING)
    jobs.cancel(job.id)
    with pytest.raises(Cancelled):
        jobs.wait(job.id, timeout=PATIENCE)
    idle = make_jobs(handler(echo), threads=0, place="elsewhere")
    assert idle.cancel(idle.submit("note", text="y").id).status is JobStatus.CANCELLED


def test_cancelling_a_job_cancels_the_jobs_that_it_began(make_jobs):
    def inner(context):
        inner_job.append(context.job)
        stop_at_a_step(context)

    def outer(_payload, context):
        return jobs.run("part", "the part", {}, inner, call=context.call, on_progress=context.report)

    inner_job = []
    jobs = make_jobs(handler(outer))
    job = jobs.submit("note", text="x")
    until(lambda: inner_job)
    (part,) = jobs.list(parent=job.id)
    assert (part.id, part.parent, part.kind) == (inner_job[0].id, job.id, "part")
    jobs.cancel(job.id)
    with pytest.raises(Cancelled):
        jobs.wait(job.id, timeout=PATIENCE)
    assert jobs.get(part.id).status is JobStatus.CANCELLED


def test_a_call_that_shares_a_part_of_a_cancelled_job_goes_on_with_it(make_jobs):
    started, done = threading.Event(), []

    def inner(context):
        if not started.is_set():
            started.set()
            stop_at_a_step(context)
        return {"whole": True}

    def outer(_payload, context):
        return jobs.run("part", "the part", {}, inner, call=context.call)

    jobs = make_jobs(handler(outer))
    job = jobs.submit("note", text="x")
    assert started.wait(PATIENCE)
    caller = threading.Thread(
        target=lambda: done.append(jobs.run("part", "the part", {}, inner, call=Call(timeout=PATIENCE)))
    )
    caller.start()
    jobs.cancel(job.id)
    caller.join(PATIENCE)
    assert done == [{"whole": True}]
