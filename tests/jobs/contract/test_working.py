"""Who works at a job, and who takes it over."""

import threading
import time

import pytest

from modelhub.errors import InvalidInput, JobFailed
from modelhub.facts import JobStatus
from modelhub.jobs import beat, workers
from tests.jobs.contract.work import PATIENCE, echo, handler, stop_at_a_step, until


def test_so_many_of_a_kind_at_once_and_the_urgent_first(make_jobs):
    lock, inside, most, order = threading.Lock(), [], [], []

    def work(payload, _context):
        with lock:
            inside.append(payload.text)
            most.append(len(inside))
            order.append(payload.text)
        time.sleep(0.01)
        with lock:
            inside.remove(payload.text)
        return {}

    jobs = make_jobs(handler(work, limit=1), threads=0)
    submitted = [jobs.submit("note", text=text, priority=int(text)) for text in "01234"]
    jobs.work(threads=3)
    for job in submitted:
        jobs.wait(job.id, timeout=PATIENCE)
    assert set(most) == {1}
    assert order == list("43210")


def test_workers_do_the_kinds_of_their_place_alone(make_jobs):
    here, there = (
        make_jobs(handler(echo), threads=0, place="a"),
        make_jobs(handler(echo), threads=0, place="b"),
    )
    other = make_jobs(handler(echo), handler(echo, kind="other"), threads=0, place="a")
    job, same = here.submit("note", text="x"), there.submit("note", text="x")
    assert job.id != same.id
    skipped = other.submit("other", text="x")
    other.work(kinds=["note"])
    assert here.wait(job.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED
    assert there.get(same.id).status is other.get(skipped.id).status is JobStatus.QUEUED
    for threads, kinds in ((0, None), (1, ["paint"])):
        with pytest.raises(InvalidInput):
            other.work(threads=threads, kinds=kinds)


def test_closing_lets_go_at_a_step_and_another_goes_on_from_there(make_jobs):
    def work(payload, context):
        steps = int((context.job.output or {}).get("steps", 0))
        attempts.append(context.job.attempt)
        with context.begin() as tx:
            context.note(tx, {"steps": steps + 1})
        if not steps:
            stop_at_a_step(context)
        return {"steps": steps + 1}

    attempts = []
    first = make_jobs(handler(work))
    job = first.submit("note", text="x")
    until(lambda: (first.get(job.id).output or {}).get("steps"))
    first.close()
    left = first.get(job.id)
    assert (left.status, left.attempt, left.deaths, left.output) == (
        JobStatus.QUEUED,
        0,
        0,
        {"steps": 1},
    )
    second = make_jobs(handler(work))
    second.work()
    assert second.wait(job.id, timeout=PATIENCE).output == {"steps": 2}
    assert attempts == [1, 1]


def test_what_does_not_come_to_a_step_is_given_back_and_can_write_nothing_more(make_jobs, monkeypatch):
    def work(payload, context):
        stuck.set()
        go.wait(PATIENCE)
        try:
            with context.begin() as tx:
                context.note(tx, {"late": True})
        except BaseException as error:
            refused.append(type(error))
            raise
        return {"late": True}

    monkeypatch.setattr(workers, "PATIENCE", 0.05)
    stuck, go, refused = threading.Event(), threading.Event(), []
    first = make_jobs(handler(work))
    job = first.submit("note", text="x")
    assert stuck.wait(PATIENCE)
    mine = first._mine
    mine.stop(patience=0.05)
    assert first.get(job.id).status is JobStatus.QUEUED
    second = make_jobs(handler(echo))
    second.work()
    assert second.wait(job.id, timeout=PATIENCE).output == {"text": "x"}
    go.set()
    assert mine.join(PATIENCE)
    assert refused == [beat.TakenOver]
    assert second.get(job.id).output == {"text": "x"}


def test_who_lost_the_lease_writes_neither_progress_nor_output(make_jobs, registry):
    def work(payload, context):
        with registry.begin() as tx:
            tx.jobs.abandon(context.job.id, context.job.owner)
            assert tx.jobs.start(context.job.id, "another", 3600.0)
        context._heart.last = context._heart.last.model_copy(update={"done": 99})
        lost.append(True)
        return {"mine": True}

    lost = []
    jobs = make_jobs(handler(work))
    job = jobs.submit("note", text="x")
    until(lambda: lost)
    jobs._mine.stop()
    row = jobs.get(job.id)
    assert (row.status, row.owner, row.done, row.output) == (JobStatus.RUNNING, "another", 0, None)


def test_three_deaths_are_the_end_and_say_how(make_jobs, registry):
    jobs = make_jobs(handler(echo), threads=0)
    job = jobs.submit("note", text="x")
    for number in range(3):
        with registry.begin() as tx:
            assert tx.jobs.claim(f"worker {number}", {"note": 3600.0})
            tx.jobs.beat(job.id, f"worker {number}", done=7, total=9, stage="write", lease=-1.0)
    jobs.work()
    with pytest.raises(JobFailed, match="died 3 times, at last worker 2 at 'write', 7 bytes done"):
        jobs.wait(job.id, timeout=PATIENCE)


def test_a_part_whose_whole_has_ended_is_not_left_behind(make_jobs, registry):
    jobs = make_jobs(handler(echo), threads=0)
    whole = jobs.submit("note", text="x")
    with registry.begin() as tx:
        part, _ = tx.jobs.create("part", "p", {}, parent=whole.id)
        tx.jobs.start(part.id, "dead", -1.0)
    jobs.cancel(whole.id)
    jobs.work()
    until(lambda: jobs.get(part.id).status.ended)
    assert jobs.get(part.id).status is JobStatus.CANCELLED
