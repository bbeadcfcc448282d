"""A worker that has nothing to do has the store read again, a little at a time."""

import threading
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from modelhub.errors import InvalidInput, StoreUnavailable
from modelhub.facts import JobStatus
from modelhub.hub import idling
from modelhub.hub.idling import IdleScrub
from modelhub.jobs import Handler, Payload
from modelhub.registry.tables import ArtifactProofRow
from modelhub.store.local import LocalStore

from .conftest import MODEL

MONTH = timedelta(days=30)
PATIENCE = 60


@pytest.fixture
def reads(monkeypatch):
    """The blobs that were read again, whole, in order."""
    done: list[str] = []
    real = LocalStore.recheck

    def recheck(store, digest, **given):
        record = real(store, digest, **given)
        done.append(digest)
        return record

    monkeypatch.setattr(LocalStore, "recheck", recheck)
    return done


def age(hub, days=40):
    """Let all have been hashed so long ago, each at a time of its own; gives them in that order."""
    with hub._registry.begin() as tx:
        numbers = tx.session.scalars(
            ArtifactProofRow.__table__.select().with_only_columns(ArtifactProofRow.location_id)
        ).all()
        for place, number in enumerate(numbers):
            moment = datetime.now(UTC) - timedelta(days=days, minutes=place)
            row = ArtifactProofRow.location_id == number
            tx.session.execute(update(ArtifactProofRow).where(row).values(verified_at=moment))
    return [record.digest for record in hub.store._store.stale(datetime.now(UTC), 1000)]


def scrubs(hub):
    return hub.jobs.list(kind="store_scrub")


def until(true):
    for _ in range(PATIENCE * 20):
        if true():
            return
        threading.Event().wait(0.05)
    raise AssertionError("it does not come")


def test_an_idle_worker_reads_what_is_due_and_no_more(
    make_hub, server, database_url, monkeypatch, reads
):
    monkeypatch.setattr(idling, "SLICE_SECONDS", 0.0)  # a blob a job
    hub = make_hub(workers=0, database=database_url)
    hub.pull(f"{MODEL}:q4_0")
    due = age(hub)
    server.reset_counts()
    hub.jobs.work(spare=hub.store.idle_scrub(rate="1GB/s"))
    until(lambda: len(reads) == len(due) and all(job.status.ended for job in scrubs(hub)))
    assert reads == due
    assert len(scrubs(hub)) == len(due) > 1
    assert {(job.status, job.priority) for job in scrubs(hub)} == {
        (JobStatus.SUCCEEDED, idling.PRIORITY)
    }
    assert hub.store._store.stale(datetime.now(UTC) - MONTH, 1) == ()
    assert server.requests == []


def test_nothing_is_handed_in_for_what_was_hashed_lately(make_hub):
    hub = make_hub(workers=0)
    hub.pull(f"{MODEL}:q4_0")
    hub.store.idle_scrub().offer()
    assert scrubs(hub) == ()
    age(hub)
    for _ in range(2):  # two workers, of whatever host
        hub.store.idle_scrub(rate="10MB/s", older_than=MONTH).offer()
    (job,) = scrubs(hub)
    assert job.input == {"rate": 10**7, "limit": 6 * 10**9, "older_than": MONTH.total_seconds()}


def test_other_work_does_not_wait_for_it(make_hub):
    """One thread, which reads at a byte a second: what is handed in then is done at once."""
    hub = make_hub(workers=0)
    hub.pull(f"{MODEL}:q4_0")
    age(hub)
    hub.jobs.add(Handler("noop", Payload, lambda _given, _context: {"done": True}))
    workers = hub.jobs.work(threads=1, spare=hub.store.idle_scrub(rate=1))
    until(lambda: any(job.status is JobStatus.RUNNING for job in scrubs(hub)))
    assert hub.jobs.wait(hub.jobs.submit("noop").id, timeout=PATIENCE).output == {"done": True}
    (job,) = scrubs(hub)
    assert job.status is JobStatus.RUNNING
    workers.stop()
    assert hub.jobs.get(job.id).status is JobStatus.QUEUED


def test_a_worker_does_no_more_at_once_for_its_spare_thread(make_hub):
    hub = make_hub(workers=0)
    go, most, now = threading.Event(), [], []

    def work(_given, _context):
        now.append(1)
        most.append(len(now))
        go.wait(0.2)
        now.pop()
        return {}

    class Numbered(Payload):
        number: int

    hub.jobs.add(Handler("busy", Numbered, work))
    jobs = [hub.jobs.submit("busy", number=number).id for number in range(6)]
    hub.jobs.work(threads=2, spare=hub.store.idle_scrub())
    for job in jobs:
        hub.jobs.wait(job, timeout=PATIENCE)
    assert max(most) == 2


def test_whoever_takes_it_over_reads_nothing_again(make_hub, monkeypatch, reads):
    hub = make_hub(workers=0)
    hub.pull(f"{MODEL}:q4_0")
    hub.pull(f"{MODEL}:q8_0")
    due = age(hub)
    counted, stopped = LocalStore.recheck, []

    def recheck(store, digest, **given):
        record = counted(store, digest, **given)
        if len(reads) == 2 and not stopped:
            stopped.append(first.stop(wait=False))
        return record

    monkeypatch.setattr(LocalStore, "recheck", recheck)
    first = hub.jobs.work()
    job = hub.jobs.submit("store_scrub", older_than=0)
    assert first.join(PATIENCE)
    assert hub.jobs.get(job.id).status is JobStatus.QUEUED
    assert len(reads) == 2
    hub.jobs.work()
    done = hub.jobs.wait(job.id, timeout=PATIENCE)
    assert done.output["checked"] == len(due) - 2
    assert reads == due
    assert max(Counter(reads).values()) == 1


def test_what_cannot_be_read_is_not_tried_again_and_again(make_hub, monkeypatch):
    hub = make_hub(workers=0)
    hub.pull(f"{MODEL}:q4_0")
    age(hub)

    def recheck(_store, _digest, **_given):
        raise StoreUnavailable("a disk that reads nothing")

    monkeypatch.setattr(LocalStore, "recheck", recheck)
    moment = [100.0]
    idle = IdleScrub(hub.store._store, hub.jobs, 10**9, MONTH, clock=lambda: moment[0])
    hub.jobs.work()
    idle.offer()
    (job,) = scrubs(hub)
    assert hub.jobs.wait(job.id, timeout=PATIENCE).output["checked"] == 0
    moment[0] += idling.LOOK_SECONDS - 1
    idle.offer()
    assert len(scrubs(hub)) == 1
    moment[0] += 2
    idle.offer()
    assert len(scrubs(hub)) == 2


def test_what_cannot_be_read_does_not_keep_the_rest_waiting(make_hub, monkeypatch, reads):
    """It is due first each time, and fails only at its end."""
    monkeypatch.setattr(idling, "SLICE_SECONDS", 0.0)
    hub = make_hub(workers=0)
    hub.pull(f"{MODEL}:q4_0")
    bad, *rest = age(hub)
    counted = LocalStore.recheck

    def recheck(store, digest, *, on_bytes, **given):
        if digest == bad:
            on_bytes(1000)
            raise StoreUnavailable("a sector that cannot be read")
        return counted(store, digest, on_bytes=on_bytes, **given)

    monkeypatch.setattr(LocalStore, "recheck", recheck)
    hub.jobs.work(spare=hub.store.idle_scrub(rate="1GB/s"))
    until(lambda: len(reads) == len(rest) and all(job.status.ended for job in scrubs(hub)))
    assert reads == rest


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"rate": "fast"}, "rate"),
        ({"rate": 0}, "rate"),
        ({"rate": None}, "rate"),
        ({"older_than": -1}, "older_than"),
        ({"older_than": 1e12}, "older_than"),
        ({"older_than": float("nan")}, "older_than"),
    ],
)
def test_what_is_no_rate_or_time_is_refused(hub, given, field):
    with pytest.raises(InvalidInput) as caught:
        hub.store.idle_scrub(**given)
    assert caught.value.details["field"] == field
