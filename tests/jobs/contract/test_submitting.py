"""Submitted, waited for, watched."""

import threading

import pytest

from modelhub.errors import DeadlineExceeded, InvalidInput, JobNotFound, StoreFull
from modelhub.facts import Job, JobStatus
from tests.jobs.contract.work import PATIENCE, echo, handler


def test_what_is_submitted_is_done_by_a_worker(make_jobs):
    seen = []

    def work(payload, context):
        seen.append(threading.current_thread().name)
        context.progress("write", 3, 4, unit="notes")
        return {"text": payload.text * payload.times}

    jobs = make_jobs(handler(work))
    job = jobs.submit("note", text="x", times=3)
    assert job.status in (JobStatus.QUEUED, JobStatus.RUNNING)
    assert job.input == {"text": "x", "times": 3}
    done = jobs.wait(job.id, timeout=PATIENCE)
    assert (done.status, done.output, done.attempt) == (JobStatus.SUCCEEDED, {"text": "xxx"}, 1)
    assert (done.done, done.total, done.unit, done.stage) == (3, 4, "notes", "write")
    assert done.created_at <= done.started_at <= done.finished_at
    assert seen[0].startswith("job-worker")


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"text": 1}, "text"),
        ({}, "text"),
        ({"text": "x", "more": 1}, "more"),
        ({"text": "x", "times": "y"}, "times"),
    ],
)
def test_a_payload_that_is_not_its_kinds_is_refused_by_field(make_jobs, given, field):
    jobs = make_jobs(handler(echo))
    with pytest.raises(InvalidInput, match="It takes text") as caught:
        jobs.submit("note", **given)
    assert caught.value.details["field"] == field
    assert jobs.list() == ()


def test_unknown_kinds_and_jobs(make_jobs):
    jobs = make_jobs(handler(echo))
    with pytest.raises(InvalidInput, match="Kinds are: note"):
        jobs.submit("paint")
    with pytest.raises(InvalidInput, match="note"):
        jobs.add(handler(echo))
    with pytest.raises(InvalidInput, match="painted"):
        jobs.list(status="painted")
    for ask in (jobs.get, jobs.wait, jobs.cancel, jobs.retry):
        with pytest.raises(JobNotFound):
            ask(12345)


def test_the_same_work_is_one_job_until_it_ends(make_jobs):
    go = threading.Event()

    def work(payload, _):
        go.wait(PATIENCE)
        return {"text": payload.text}

    jobs = make_jobs(handler(work))
    first, second, other = (jobs.submit("note", text=text) for text in "xxy")
    assert first.id == second.id != other.id
    go.set()
    assert jobs.wait(first.id, timeout=PATIENCE).output == {"text": "x"}
    assert jobs.submit("note", text="x").id != first.id


def test_watch_shows_each_change_and_ends_with_the_job(make_jobs):
    steps = [threading.Event() for _ in range(3)]

    def work(_payload, context):
        for number, step in enumerate(steps):
            step.wait(PATIENCE)
            context.progress("count", number + 1, len(steps))
        return {}

    jobs = make_jobs(handler(work))
    seen: list[Job] = []
    for job in jobs.watch(jobs.submit("note", text="x").id, timeout=PATIENCE):
        seen.append(job)
        if job.status is JobStatus.RUNNING and job.done < len(steps):
            steps[job.done].set()
    assert [job.done for job in seen] == sorted(job.done for job in seen)
    assert {job.done for job in seen} >= {0, 1, 2, 3}
    assert seen[-1].status is JobStatus.SUCCEEDED
    assert list(jobs.watch(seen[-1].id)) == [seen[-1]]


def test_wait_raises_what_the_job_raised(make_jobs):
    def work(_payload, _context):
        raise StoreFull("no room", hint="Delete something.", free=1)

    jobs = make_jobs(handler(work))
    job = jobs.submit("note", text="x")
    with pytest.raises(StoreFull, match="no room") as caught:
        jobs.wait(job.id, timeout=PATIENCE)
    assert caught.value.details == {"free": 1}
    assert jobs.get(job.id).attempt == 1


def test_waiting_has_an_end_of_its_own(make_jobs):
    jobs = make_jobs(handler(echo), threads=0)
    job = jobs.submit("note", text="x")
    with pytest.raises(DeadlineExceeded):
        jobs.wait(job.id, timeout=0.05)
    assert jobs.get(job.id).status is JobStatus.QUEUED
    with pytest.raises(InvalidInput):
        jobs.wait(job.id, timeout=-1)
