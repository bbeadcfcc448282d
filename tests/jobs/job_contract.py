"""What every engine of jobs keeps, whatever its database: inherit, and give a `jobs` and a `registry`."""

import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from modelhub.errors import (
    AccessDenied,
    Cancelled,
    DeadlineExceeded,
    InvalidInput,
    JobFailed,
    JobNotFound,
    RepositoryNotFound,
    SourceUnavailable,
    StoreFull,
)
from modelhub.facts import Call, Job, JobStatus
from modelhub.jobs import Handler, Jobs, Payload, beat, desk, engine, retries, workers
from modelhub.registry import statements, types

PATIENCE = 30


class Note(Payload):
    text: str
    times: int = 1


def until(true):
    """Ask until it is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end
        time.sleep(0.005)


def stop_at_a_step(context):
    """Work that goes on until it is told to stop."""
    until(lambda: context.check() or False)


def handler(work, kind="note", **given):
    return Handler(kind, Note, work, **given)


def echo(payload, _context):
    return {"text": payload.text}


class Flaky:
    """Fails with each of `errors`, one after another, then succeeds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.attempts = []

    def __call__(self, payload, context):
        self.attempts.append(context.job.attempt)
        if self.errors:
            raise self.errors.pop(0)
        return {"text": payload.text}


class JobContract:
    """The tests. `jobs` has no handler yet; two threads do what is submitted."""

    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch):
        monkeypatch.setattr(beat, "LOOK_SECONDS", 0.02)
        monkeypatch.setattr(engine, "POLL_SECONDS", 0.02)
        monkeypatch.setattr(workers, "POLL_SECONDS", 0.05)
        at_once = retries.Backoff(0.01, factor=1)
        for kind, backoff in retries.RETRIES.items():
            if backoff is not None:
                monkeypatch.setitem(retries.RETRIES, kind, at_once)

    @pytest.fixture
    def make_jobs(self, registry):
        made = []

        def make(*handlers, **given) -> Jobs:
            made.append(Jobs(registry, **given))
            made[-1].add(*handlers)
            return made[-1]

        yield make
        for each in made:
            each.close()

    # Submit, wait, watch

    def test_what_is_submitted_is_done_by_a_worker(self, make_jobs):
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
    def test_a_payload_that_is_not_its_kinds_is_refused_by_field(self, make_jobs, given, field):
        jobs = make_jobs(handler(echo))
        with pytest.raises(InvalidInput, match="It takes text") as caught:
            jobs.submit("note", **given)
        assert caught.value.details["field"] == field
        assert jobs.list() == ()

    def test_unknown_kinds_and_jobs(self, make_jobs):
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

    def test_the_same_work_is_one_job_until_it_ends(self, make_jobs):
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

    def test_watch_shows_each_change_and_ends_with_the_job(self, make_jobs):
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

    def test_wait_raises_what_the_job_raised(self, make_jobs):
        def work(_payload, _context):
            raise StoreFull("no room", hint="Delete something.", free=1)

        jobs = make_jobs(handler(work))
        job = jobs.submit("note", text="x")
        with pytest.raises(StoreFull, match="no room") as caught:
            jobs.wait(job.id, timeout=PATIENCE)
        assert caught.value.details == {"free": 1}
        assert jobs.get(job.id).attempt == 1

    def test_waiting_has_an_end_of_its_own(self, make_jobs):
        jobs = make_jobs(handler(echo), threads=0)
        job = jobs.submit("note", text="x")
        with pytest.raises(DeadlineExceeded):
            jobs.wait(job.id, timeout=0.05)
        assert jobs.get(job.id).status is JobStatus.QUEUED
        with pytest.raises(InvalidInput):
            jobs.wait(job.id, timeout=-1)

    # Retry

    def test_what_may_pass_is_tried_again_and_what_may_not_is_final(self, make_jobs):
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

    def test_there_is_an_end_to_it(self, make_jobs):
        flaky = Flaky(*[SourceUnavailable("away")] * 9)
        jobs = make_jobs(handler(flaky))
        with pytest.raises(SourceUnavailable):
            jobs.wait(jobs.submit("note", text="x").id, timeout=PATIENCE)
        assert flaky.attempts == [1, 2, 3, 4, 5]

    def test_what_waits_to_be_tried_again_says_why(self, make_jobs, monkeypatch):
        monkeypatch.setitem(retries.RETRIES, SourceUnavailable, retries.Backoff(60.0))
        jobs = make_jobs(handler(Flaky(SourceUnavailable("away"))))
        job = jobs.submit("note", text="x")
        until(lambda: jobs.get(job.id).error)
        assert jobs.get(job.id).status is JobStatus.QUEUED
        assert "away" in str(jobs.get(job.id))
        assert jobs.cancel(job.id).status is JobStatus.CANCELLED

    def test_retry_submits_an_ended_job_again(self, make_jobs):
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

    # Cancel

    def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_at_its_next_step(self, make_jobs):
        jobs = make_jobs(handler(lambda _payload, context: stop_at_a_step(context)))
        job = jobs.submit("note", text="x")
        until(lambda: jobs.get(job.id).status is JobStatus.RUNNING)
        jobs.cancel(job.id)
        with pytest.raises(Cancelled):
            jobs.wait(job.id, timeout=PATIENCE)
        idle = make_jobs(handler(echo), threads=0, place="elsewhere")
        assert idle.cancel(idle.submit("note", text="y").id).status is JobStatus.CANCELLED

    def test_cancelling_a_job_cancels_the_jobs_that_it_began(self, make_jobs):
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

    def test_a_call_that_shares_a_part_of_a_cancelled_job_goes_on_with_it(self, make_jobs):
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
            target=lambda: done.append(
                jobs.run("part", "the part", {}, inner, call=Call(timeout=PATIENCE))
            )
        )
        caller.start()
        jobs.cancel(job.id)
        caller.join(PATIENCE)
        assert done == [{"whole": True}]

    # Who works

    def test_so_many_of_a_kind_at_once_and_the_urgent_first(self, make_jobs):
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

    def test_workers_do_the_kinds_of_their_place_alone(self, make_jobs):
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

    def test_closing_lets_go_at_a_step_and_another_goes_on_from_there(self, make_jobs):
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

    def test_what_does_not_come_to_a_step_is_given_back_and_can_write_nothing_more(
        self, make_jobs, monkeypatch
    ):
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

    def test_who_lost_the_lease_writes_neither_progress_nor_output(self, make_jobs, registry):
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

    # Deaths

    def test_three_deaths_are_the_end_and_say_how(self, make_jobs, registry):
        jobs = make_jobs(handler(echo), threads=0)
        job = jobs.submit("note", text="x")
        for number in range(3):
            with registry.begin() as tx:
                assert tx.jobs.claim(f"worker {number}", {"note": 3600.0})
                tx.jobs.beat(job.id, f"worker {number}", done=7, total=9, stage="write", lease=-1.0)
        jobs.work()
        with pytest.raises(JobFailed, match="died 3 times, at last worker 2 at 'write', 7 bytes done"):
            jobs.wait(job.id, timeout=PATIENCE)

    def test_a_part_whose_whole_has_ended_is_not_left_behind(self, make_jobs, registry):
        jobs = make_jobs(handler(echo), threads=0)
        whole = jobs.submit("note", text="x")
        with registry.begin() as tx:
            part, _ = tx.jobs.create("part", "p", {}, parent=whole.id)
            tx.jobs.start(part.id, "dead", -1.0)
        jobs.cancel(whole.id)
        jobs.work()
        until(lambda: jobs.get(part.id).status.ended)
        assert jobs.get(part.id).status is JobStatus.CANCELLED

    # Clocks and history

    @pytest.mark.parametrize("jump", [timedelta(days=400), timedelta(days=-400)])
    def test_a_clock_that_jumps_takes_no_job_away_and_holds_none_up(self, make_jobs, monkeypatch, jump):
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
        self, make_jobs, registry, monkeypatch
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

    def test_what_ended_long_ago_is_forgotten(self, make_jobs, registry, monkeypatch):
        jobs = make_jobs(handler(echo))
        old = jobs.wait(jobs.submit("note", text="old").id, timeout=PATIENCE)
        with registry.begin() as tx:
            assert tx.jobs.prune(desk.KEPT_DAYS) == 0
            assert tx.jobs.prune(0.0) == 0
            assert tx.jobs.prune(0.0, spare=0) == 1
        assert all(job.id != old.id for job in jobs.list())
