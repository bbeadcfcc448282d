"""Clocks that jump, and jobs that ended long ago."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from modelhub.facts import JobStatus
from modelhub.jobs import desk
from modelhub.registry import statements, types
from tests.jobs.contract.work import PATIENCE, echo, handler, until


@pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)])
def test_a_clock_that_jumps_takes_no_job_away_and_holds_none_up(make_jobs, monkeypatch, jump):
    def work(payload, context):
        if payload.text == "x" and not jumped.is_set():
            begun.append(context.job.id)
            assert jumped.wait(PATIENCE)
            time.sleep(0.2)  # the others look for work meanwhile
            context.check()
        return {}

    jumped, begun = threading.Event(), []
    jobs = make_jobs(handler(work))
    waiting = make_jobs(handler(work), threads=0).submit("note", text="waits")
    job = jobs.submit("note", text="x")
    until(lambda: begun)
    for room in (types, statements):
        monkeypatch.setattr(room, "utc_now", lambda: datetime.now(UTC) + jump)
    later = time.time() + jump.total_seconds()
    monkeypatch.setattr(time, "time", lambda: later)
    jumped.set()
    assert jobs.wait(job.id, timeout=PATIENCE).attempt == 1
    assert jobs.wait(waiting.id, timeout=PATIENCE).attempt == 1
    assert jobs.wait(jobs.submit("note", text="after").id, timeout=PATIENCE).attempt == 1
    assert begun == [job.id]


def test_a_lease_and_a_pause_from_before_the_clock_began_anew_hold_nothing_up(
    make_jobs, registry, monkeypatch
):
    jobs = make_jobs(handler(echo), threads=0)
    dead, waiting = jobs.submit("note", text="dead"), jobs.submit("note", text="waits")
    day = 24 * 3600.0
    with registry.begin() as tx:
        tx.jobs.start(dead.id, "of an earlier boot", 30 * day)
        tx.jobs.start(waiting.id, "me", 60.0)
        tx.jobs.postpone(waiting.id, "me", {}, 30 * day)
    jobs.work()
    for job in (dead, waiting):
        assert jobs.wait(job.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED


def test_what_ended_long_ago_is_forgotten(make_jobs, registry, monkeypatch):
    jobs = make_jobs(handler(echo))
    old = jobs.wait(jobs.submit("note", text="old").id, timeout=PATIENCE)
    with registry.begin() as tx:
        assert tx.jobs.prune(desk.KEPT_DAYS) == 0
        assert tx.jobs.prune(0.0) == 0
        assert tx.jobs.prune(0.0, spare=0) == 1
    assert all(job.id != old.id for job in jobs.list())
