"""Scrub: all that the store has is read again, the longest unread first, as fast as it may."""

import logging
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, InvalidInput
from modelhub.facts import JobKind, JobStatus, Scrub
from modelhub.hub.scrubbing import LONGEST_NAP, Pace, ScrubOrder
from modelhub.store.fsops import FsOps
from tests.store.hands import flip

from .conftest import MODEL

Q8 = "zoo-chat-q8_0.gguf"


def blobs(hub):
    """The store's files by their digests."""
    folder = Path(hub.settings.home) / "store" / "blobs" / "sha256"
    return {path.name: path for path in folder.glob("*/*")}


@pytest.fixture
def pulled(hub, server):
    hub.pull(f"{MODEL}:q4_0")
    hub.pull(f"{MODEL}:q8_0")
    server.reset_counts()
    return blobs(hub)


def test_everything_is_read_once_and_nobody_is_asked(hub, server, pulled, caplog):
    caplog.set_level(logging.INFO, "modelhub.hub.scrubbing")
    seen = []
    report = hub.store.scrub(progress=seen.append)
    size = sum(path.stat().st_size for path in pulled.values())
    assert (report.checked, report.bytes, report.ok) == (len(pulled), size, True)
    assert report.complete
    assert seen[-1].done == size
    assert {progress.stage for progress in seen} == {"scrub"}
    assert server.requests == []
    assert "damaged" in str(report)
    (event,) = [log for log in caplog.records if log.message == "store_scrubbed"]
    assert (event.checked, event.bytes, event.damaged) == (len(pulled), size, 0)
    (job,) = [job for job in hub.jobs.list() if job.kind is JobKind.STORE_SCRUB]
    assert job.status is JobStatus.SUCCEEDED
    assert Scrub.model_validate(job.output) == report
    # What it proved holds, and what was read is not due again.
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert hub.store.scrub(older_than=timedelta(hours=1)).checked == 0


def test_what_was_hashed_longest_ago_comes_first_and_a_limit_ends_it(hub, pulled):
    order = [progress.item for progress in _progress(hub)]
    first, last = order[0], order[-1]
    seen = _progress(hub, limit=1)
    assert {progress.item for progress in seen} == {first}
    report = hub.store.scrub(limit="1B")
    assert (report.checked, report.complete) == (1, False)
    assert "There is more" in str(report)
    # Two have been read since: the third is next.
    assert _progress(hub, limit=1)[0].item == list(dict.fromkeys(order))[2]
    assert last in {progress.item for progress in _progress(hub)}


def test_a_scrub_ends_although_the_clock_was_set_back(hub, pulled):
    blobs_of = hub.store._store._blobs
    blobs_of.clock = lambda: time.time_ns() - 3600 * 10**9
    report = hub.store.scrub(timeout=30)
    assert (report.checked, report.complete) == (len(pulled), True)


def _progress(hub, **given):
    seen = []
    hub.store.scrub(progress=seen.append, **given)
    return seen


def test_what_no_source_gives_is_told(make_hub, server, pulled):
    flip(max(pulled.values(), key=lambda path: path.stat().st_size))
    report = make_hub(offline=True).store.scrub()
    (damaged,) = report.damaged
    assert (damaged.repaired, damaged.repositories, report.ok) == (False, (MODEL,), False)
    assert "offline" in damaged.reason
    assert damaged.reason in str(report)
    assert server.requests == []


def test_what_no_proof_shows_is_found_and_fetched_anew(hub, server, pulled, monkeypatch):
    (digest, path), *_ = pulled.items()
    data = path.read_bytes()

    def pread(ops, fd, buffer, offset):
        """A disk that gives one bit otherwise, and moves no time."""
        count = real(ops, fd, buffer, offset)
        if ops.fstat(fd).st_ino == inode and count and offset == 0:
            buffer[0] ^= 1
        return count

    real, inode = FsOps.pread, path.stat().st_ino
    monkeypatch.setattr(FsOps, "pread", pread)
    report = hub.store.scrub()
    monkeypatch.undo()
    (damaged,) = report.damaged
    assert (damaged.sha256, report.checked) == (digest, len(pulled))
    assert damaged.found != digest
    assert (damaged.repaired, report.ok) == (True, True)
    assert server.requests
    assert hub.store.scrub().damaged == ()
    assert digest in str(report)
    assert (Path(hub.settings.home) / "store" / damaged.kept).read_bytes() == data
    assert Scrub.model_validate(report.model_dump()) == report


def test_a_disk_that_gives_nothing_is_told_and_does_not_stop_it(hub, pulled, monkeypatch, caplog):
    (digest, path), *_ = pulled.items()

    def pread(ops, fd, buffer, offset):
        if ops.fstat(fd).st_ino == inode:
            raise OSError(5, "Input/output error")
        return real(ops, fd, buffer, offset)

    real, inode = FsOps.pread, path.stat().st_ino
    monkeypatch.setattr(FsOps, "pread", pread)
    report = hub.store.scrub()
    (unread,) = report.unread
    assert (unread.sha256, report.checked, report.complete) == (digest, len(pulled) - 1, True)
    assert "Input/output error" in unread.reason
    assert not report.ok
    assert "blob_unreadable" in caplog.text
    assert path.exists()


def test_what_was_deleted_by_hand_is_no_damage(hub, pulled):
    next(iter(pulled.values())).unlink()
    report = hub.store.scrub()
    assert (report.checked, report.ok, report.complete) == (len(pulled) - 1, True, True)


def test_a_blob_that_gets_a_link_while_it_is_read_keeps_its_proof(hub, server, pulled, zoo_gguf):
    """Nobody waits for a scrub, and what it proved counts although the file has another link now."""
    server.add("other/same-weights", zoo_gguf)
    (weights,) = (
        path.name for path in pulled.values() if path.stat().st_size == (zoo_gguf / Q8).stat().st_size
    )

    def pull(progress):
        if progress.item == weights and not linked:
            linked.append(hub.pull("other/same-weights:q8_0"))

    linked = []
    hub.store.scrub(progress=pull)
    hashed = []
    hub.pull("other/same-weights:q8_0", progress=hashed.append)
    assert linked
    verified = [progress.done for progress in hashed if progress.stage == "verify"]
    assert max(verified, default=0) < (zoo_gguf / Q8).stat().st_size


def test_it_can_be_cancelled_and_goes_on_where_it_was(hub, pulled):
    seen = []

    def stop(progress):
        seen.append(progress.item)
        if len(set(seen)) == 2:
            (job,) = [job for job in hub.jobs.list() if not job.status.ended]
            hub.jobs.cancel(job.id)

    with pytest.raises(Cancelled):
        hub.store.scrub(progress=stop, rate="1MB/s")
    assert _progress(hub)[0].item != seen[0]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"rate": "fast"}, "rate"),
        ({"rate": 0}, "rate"),
        ({"limit": -1}, "limit"),
        ({"limit": "0MB"}, "limit"),
        ({"older_than": -1}, "older_than"),
        ({"older_than": "a week"}, "older_than"),
        ({"older_than": 1e300}, "older_than"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_read(hub, wrong, field):
    with pytest.raises(InvalidInput) as caught:
        hub.store.scrub(**wrong)
    assert caught.value.details["field"] == field
    assert hub.jobs.list() == ()


def test_an_order_is_written_as_people_do():
    order = ScrubOrder.of("100MB/s", "1GiB", timedelta(days=30))
    assert (order.rate, order.limit) == (100_000_000, 1 << 30)
    assert abs(datetime.now(UTC) - timedelta(days=30) - order.before) < timedelta(minutes=1)
    assert (ScrubOrder.of(5, None, None).rate, ScrubOrder.of(None, 7, 0.5).limit) == (5, 7)


class Clock:
    """A clock that only moves when somebody sleeps."""

    def __init__(self):
        self.now, self.naps = 100.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds


def test_the_pace_is_kept_and_what_was_slow_is_not_made_up_for():
    clock, asked = Clock(), []
    pace = Pace(1000, lambda: asked.append(1), clock, clock.sleep)
    for _ in range(10):
        pace.took(500)
    assert clock.now == pytest.approx(105)
    assert max(clock.naps) <= LONGEST_NAP
    assert len(asked) == len(clock.naps)
    clock.now += 60
    pace.took(500)
    pace.took(500)
    assert clock.now == pytest.approx(166)
    free = Pace(None, lambda: asked.append(1), clock, clock.sleep)
    free.took(1 << 40)
    assert clock.now == pytest.approx(166)


def test_two_at_once_are_one(hub, pulled, caplog):
    caplog.set_level(logging.INFO, "modelhub.jobs.engine")
    begun, reports = threading.Event(), []

    def wait(_progress):
        begun.set()
        for _ in range(600):
            if "job_waiting" in caplog.text:
                return
            threading.Event().wait(0.05)

    threads = [
        threading.Thread(target=lambda given=given: reports.append(hub.store.scrub(progress=given)))
        for given in (wait, False)
    ]
    threads[0].start()
    begun.wait(30)
    threads[1].start()
    for thread in threads:
        thread.join(60)
    assert reports[0] == reports[1]
    assert len([job for job in hub.jobs.list() if job.kind is JobKind.STORE_SCRUB]) == 1


def test_a_worker_does_it_in_the_background(hub, pulled):
    job = hub.jobs.submit("store_scrub", rate="1GB/s", older_than=0)
    ended = hub.jobs.wait(job.id, timeout=60)
    assert Scrub.model_validate(ended.output).checked == len(pulled)
    with pytest.raises(InvalidInput, match="rate: 'fast' is no size"):
        hub.jobs.submit("store_scrub", rate="fast")


def test_a_scrub_that_was_handed_in_and_one_that_is_called_for_are_one(make_hub, pulled):
    hub = make_hub(workers=0)
    job = hub.jobs.submit("store_scrub", limit="1TB")
    assert hub.store.scrub().checked == len(pulled)
    (done,) = hub.jobs.list(kind="store_scrub")
    assert (done.id, done.status, done.attempt) == (job.id, JobStatus.SUCCEEDED, 1)
