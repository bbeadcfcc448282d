"""The queue: one job a key, one owner a job, nothing lost when a worker dies."""

import threading

import pytest

from modelhub.errors import InvalidInput, JobNotFound
from modelhub.facts import JobKind, JobStatus
from modelhub.registry import Registry
from modelhub.registry.job_states import MAX_DEATHS
from tests.registry.samples import only_postgres

SYNC, FETCH = JobKind.REPO_SYNC, JobKind.ARTIFACT_DOWNLOAD
GONE = -1.0  # seconds: a lease that has run out already
LONG = 3600.0


def create(registry, key="k", kind=SYNC, **given):
    with registry.begin() as tx:
        return tx.jobs.create(kind, key, {"ref": key}, **given)


def do(registry, method, *args, **given):
    with registry.begin() as tx:
        return getattr(tx.jobs, method)(*args, **given)


def beat(registry, job, owner, *, lease=LONG, done=1):
    return do(registry, "beat", job.id, owner, done=done, total=10, stage="fetch", lease=lease)


def test_a_job_from_queue_to_end(registry):
    job, new = create(registry, "repo_sync:a", total=10)
    assert new
    assert (job.kind, job.status, job.key, job.input) == (
        SYNC,
        JobStatus.QUEUED,
        "repo_sync:a",
        {"ref": "repo_sync:a"},
    )
    assert (job.attempt, job.done, job.total, job.started_at) == (0, 0, 10, None)

    job = do(registry, "start", job.id, "me", LONG)
    assert (job.status, job.attempt) == (JobStatus.RUNNING, 1)
    assert job.started_at >= job.created_at

    assert beat(registry, job, "me", done=4) is False
    job = do(registry, "get", job.id)
    assert (job.done, job.total, job.stage) == (4, 10, "fetch")

    assert do(registry, "finish", job.id, "me", JobStatus.SUCCEEDED, output={"commit": "c\x00"})
    job = do(registry, "get", job.id)
    assert (job.status, job.output, job.error) == (JobStatus.SUCCEEDED, {"commit": "c\x00"}, None)
    assert job.finished_at >= job.started_at
    assert do(registry, "start", job.id, "me", LONG) is None
    assert not do(registry, "finish", job.id, "me", JobStatus.FAILED)
    assert beat(registry, job, "me") is None


def test_a_beat_says_what_it_counts(registry):
    job, _ = create(registry, total=10)
    assert job.unit == "bytes"
    do(registry, "start", job.id, "me", LONG)
    do(registry, "beat", job.id, "me", done=1, total=1, stage="list", lease=LONG, unit="files")
    job = do(registry, "get", job.id)
    assert job.unit == "files"
    assert str(job) == f"job {job.id} repo_sync: running, 1 of 1 files"
    beat(registry, job, "me", done=4)
    assert str(do(registry, "get", job.id)).endswith("running, 4 of 10 bytes")


def test_a_key_that_no_index_holds_is_refused(registry):
    with pytest.raises(InvalidInput, match="key has 2,001 bytes") as caught:
        create(registry, "é" * 1000 + "k")
    assert caught.value.details["field"] == "key"
    assert create(registry, "".join(map(chr, range(0x4E00, 0x4E00 + 666))))[1]


def test_the_same_key_is_the_same_job_until_it_ends(registry):
    job, _ = create(registry)
    assert create(registry) == (job, False)
    started = do(registry, "start", job.id, "me", LONG)
    assert create(registry) == (started, False)
    assert create(registry, "other")[1]
    do(registry, "finish", job.id, "me", JobStatus.FAILED, error={"code": "x", "message": "y"})
    again, new = create(registry)
    assert new
    assert again.id > job.id


def test_only_one_owner_at_a_time(registry):
    job, _ = create(registry)
    assert do(registry, "start", job.id, "me", LONG)
    assert do(registry, "start", job.id, "you", LONG) is None
    assert do(registry, "start", job.id, "me", LONG) is None
    assert beat(registry, job, "you") is None
    assert not do(registry, "finish", job.id, "you", JobStatus.SUCCEEDED)


def test_a_lease_that_ran_out_lets_another_take_over_and_fences_the_first(registry):
    job, _ = create(registry)
    do(registry, "start", job.id, "dead", GONE)
    assert beat(registry, job, "dead", lease=GONE) is False  # nobody took it: it goes on
    taken = do(registry, "start", job.id, "heir", LONG)
    assert taken.attempt == 2
    assert beat(registry, job, "dead") is None
    assert not do(registry, "finish", job.id, "dead", JobStatus.SUCCEEDED)
    assert do(registry, "finish", job.id, "heir", JobStatus.SUCCEEDED)


def test_a_job_that_kills_its_workers_fails_in_the_end(registry):
    job, _ = create(registry)
    for _ in range(MAX_DEATHS):
        assert do(registry, "start", job.id, "doomed", GONE)
    assert do(registry, "start", job.id, "next", LONG) is None
    job = do(registry, "get", job.id)
    assert job.status is JobStatus.FAILED
    assert job.error["code"] == "job_failed"
    assert create(registry)[1], "the key is free again"


def test_a_dead_job_does_not_hold_its_key(registry):
    job, _ = create(registry)
    for _ in range(MAX_DEATHS):
        do(registry, "start", job.id, "doomed", GONE)
    again, new = create(registry)
    assert new
    assert again.id != job.id


def test_cancelling(registry):
    waiting, _ = create(registry, "waiting")
    do(registry, "request_cancel", waiting.id)
    waiting = do(registry, "get", waiting.id)
    assert (waiting.status, waiting.error["code"]) == (JobStatus.CANCELLED, "cancelled")
    assert do(registry, "start", waiting.id, "me", LONG) is None

    running, _ = create(registry, "running")
    do(registry, "start", running.id, "me", LONG)
    do(registry, "request_cancel", running.id)
    assert beat(registry, running, "me") is True
    assert do(registry, "finish", running.id, "me", JobStatus.CANCELLED)
    do(registry, "request_cancel", running.id)  # nothing happens to what has ended
    assert do(registry, "get", running.id).status is JobStatus.CANCELLED

    with pytest.raises(JobNotFound):
        do(registry, "request_cancel", 9999)
    assert do(registry, "get", 9999) is None


def test_a_cancelled_job_whose_worker_died_is_not_begun_again(registry):
    job, _ = create(registry)
    do(registry, "start", job.id, "dead", GONE)
    do(registry, "request_cancel", job.id)
    assert do(registry, "claim", "me", {SYNC: LONG}) is None
    assert do(registry, "get", job.id).status is JobStatus.CANCELLED


def test_claim_takes_the_oldest_of_its_kinds_once(registry):
    first, _ = create(registry, "1")
    create(registry, "2", FETCH)
    third, _ = create(registry, "3")
    assert do(registry, "claim", "a", {SYNC: LONG}).id == first.id
    assert do(registry, "claim", "b", {SYNC: LONG}).id == third.id
    assert do(registry, "claim", "c", {SYNC: LONG}) is None
    assert do(registry, "claim", "c", {SYNC: LONG, FETCH: LONG}).kind is FETCH


def test_claim_takes_what_a_dead_worker_left(registry):
    job, _ = create(registry)
    do(registry, "claim", "dead", {SYNC: GONE})
    assert do(registry, "claim", "heir", {SYNC: LONG}).id == job.id


def test_list_is_newest_first(registry):
    jobs = [create(registry, str(number))[0] for number in range(4)]
    do(registry, "request_cancel", jobs[1].id)
    with registry.read() as tx:
        assert [job.id for job in tx.jobs.list(3)] == [jobs[3].id, jobs[2].id, jobs[1].id]
        assert [job.id for job in tx.jobs.list(9, JobStatus.CANCELLED)] == [jobs[1].id]
        assert [job.id for job in tx.jobs.list(9, JobStatus.QUEUED)] == [jobs[i].id for i in (3, 2, 0)]


def test_many_threads_make_one_job_and_each_job_has_one_worker(registry):
    """Creating and claiming race; every job is done exactly once."""
    made, done, lock = [], [], threading.Lock()

    def work(owner):
        for number in range(8):
            job, new = create(registry, f"key {number}")
            with lock:
                made.extend([job.id] if new else [])
        while (job := do(registry, "claim", owner, {SYNC: LONG})) is not None:
            with lock:
                done.append(job.id)
            assert do(registry, "finish", job.id, owner, JobStatus.SUCCEEDED)

    crowd = [threading.Thread(target=work, args=(f"worker {number}",)) for number in range(4)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert sorted(done) == sorted(made)
    assert len(set(made)) == len(made) >= 8


@only_postgres
def test_a_claim_does_not_wait_for_another_that_is_under_way(registry, database_url):
    """PostgreSQL skips rows that are locked; SQLite has one writer, so the question does not arise."""
    first, _ = create(registry, "1")
    second, _ = create(registry, "2")
    other = Registry.open(f"{database_url}&options=-clock_timeout%3D5s")  # instead of waiting for ever
    with registry.begin() as tx:
        assert tx.jobs.claim("a", {SYNC: LONG}).id == first.id
        assert do(other, "claim", "b", {SYNC: LONG}).id == second.id
    other.close()
