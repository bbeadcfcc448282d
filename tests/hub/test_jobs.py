"""`hub.jobs`: the verbs of long work, submitted."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhub.errors import Cancelled, InvalidInput, RepositoryNotFound, VariantNotFound
from modelhub.facts import JobKind, JobStatus
from modelhub.jobs import Fetcher, Handler, Payload, beat
from tests.hub.conftest import MODEL

PATIENCE = 60


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(beat, "LOOK_SECONDS", 0.05)


def done(hub, kind, **payload):
    return hub.jobs.wait(hub.jobs.submit(kind, **payload).id, timeout=PATIENCE)


def test_each_verb_of_long_work_can_be_submitted(hub):
    synced = done(hub, "sync", model=MODEL)
    assert synced.output == {"repo": MODEL, "commit": hub.inspect(MODEL).commit}
    pulled = done(hub, "pull", model=MODEL, variant="q4_0")
    snapshot = hub.pull(MODEL, variant="q4_0")
    assert pulled.output["path"] == str(snapshot.path)
    assert pulled.output["files"] == len(snapshot.files)
    assert pulled.output["fetched_bytes"] > snapshot.fetched_bytes == 0
    verified = done(hub, "verify", model=MODEL)
    assert {file["state"] for file in verified.output["files"]} == {"ok"}
    purged = done(hub, "purge", model=MODEL)
    assert purged.output["repo"] == MODEL
    assert hub.repos() == ()


def test_the_parts_of_a_job_hang_on_it(hub):
    job = done(hub, "pull", model=MODEL, variant="q4_0")
    assert {part.kind for part in hub.jobs.list(parent=job.id)} == {
        JobKind.REPO_SYNC,
        JobKind.ARTIFACT_DOWNLOAD,
    }
    assert (job.kind, job.stage != "", job.done) == (JobKind.PULL, True, job.total or job.done)


@pytest.mark.parametrize(
    ("kind", "payload", "field"),
    [
        ("pull", {"model": MODEL, "task": "paint"}, "task"),
        ("pull", {"model": "a/b/c/d"}, "model"),
        ("pull", {"model": 3}, "model"),
        ("pull", {"variant": "q4_0"}, "model"),
        ("sync", {"model": MODEL, "variant": "q4_0"}, "variant"),
        ("repo_sync", {"ref": MODEL}, "kind"),
    ],
)
def test_bad_input_is_refused_before_there_is_a_job(hub, kind, payload, field):
    with pytest.raises(InvalidInput) as caught:
        hub.jobs.submit(kind, **payload)
    assert caught.value.details["field"] == field
    assert hub.jobs.list() == ()


def test_what_is_not_there_is_final(hub):
    with pytest.raises(RepositoryNotFound):
        done(hub, "pull", model="zoo/nothing")
    with pytest.raises(VariantNotFound):
        done(hub, "pull", model=MODEL, variant="q2_k")
    assert {job.attempt for job in hub.jobs.list(kind="pull")} == {1}


def test_a_path_is_the_same_for_whoever_does_it(make_hub, zoo_gguf, monkeypatch, tmp_path):
    hub = make_hub(workers=0)
    monkeypatch.chdir(zoo_gguf.parent)
    job = hub.jobs.submit("sync", model=f"./{zoo_gguf.name}")
    assert job.input == {"model": str(zoo_gguf)}
    assert hub.jobs.submit("sync", model=Path(zoo_gguf)).id == job.id
    assert hub.jobs.submit("sync", model=MODEL).id == hub.jobs.submit("sync", model=MODEL.upper()).id


@pytest.fixture
def slow_fetch(monkeypatch):
    """Fetches stop before they begin until `go`; how many there were."""
    started, go, count = threading.Event(), threading.Event(), []
    fetch = Fetcher.fetch

    def wait_first(self, record, listing, files, source, context):
        count.append(context.job.id)
        started.set()
        while not go.wait(0.01):
            context.check()
        return fetch(self, record, listing, files, source, context)

    monkeypatch.setattr(Fetcher, "fetch", wait_first)
    return started, go, count


def submitted_and_called(hub, slow_fetch):
    """A submitted pull whose fetch has started, and a call for the same in a thread of its own."""
    started, _, _ = slow_fetch
    hub.sync(MODEL)
    job = hub.jobs.submit("pull", model=MODEL, variant="q4_0")
    assert started.wait(PATIENCE)
    pool = ThreadPoolExecutor(1)
    call = pool.submit(hub.pull, MODEL, variant="q4_0", timeout=PATIENCE)
    pool.shutdown(wait=False)
    return job, call


def test_a_submitted_pull_and_a_direct_one_fetch_once(hub, slow_fetch):
    _, go, count = slow_fetch
    job, call = submitted_and_called(hub, slow_fetch)
    assert hub.jobs.submit("pull", model=MODEL, variant="q4_0").id == job.id
    go.set()
    assert hub.jobs.wait(job.id, timeout=PATIENCE).output["path"] == str(call.result(PATIENCE).path)
    assert len(count) == 1


def test_cancelling_a_pull_stops_its_fetch_and_a_call_for_the_same_goes_on(hub, slow_fetch):
    _, go, count = slow_fetch
    job, call = submitted_and_called(hub, slow_fetch)
    hub.jobs.cancel(job.id)
    with pytest.raises(Cancelled):
        hub.jobs.wait(job.id, timeout=PATIENCE)
    assert hub.jobs.get(count[0]).status is JobStatus.CANCELLED
    go.set()
    assert call.result(PATIENCE).path.is_dir()
    assert len(set(count)) == 2


def test_closing_a_hub_leaves_its_work_to_the_next_one(make_hub, slow_fetch):
    started, go, _ = slow_fetch
    first = make_hub()
    job = first.jobs.submit("pull", model=MODEL, variant="q4_0")
    assert started.wait(PATIENCE)
    first.close()
    go.set()
    second = make_hub()
    assert second.jobs.get(job.id).status is JobStatus.QUEUED
    second.jobs.work()
    assert second.jobs.wait(job.id, timeout=PATIENCE).status is JobStatus.SUCCEEDED


def test_a_store_elsewhere_is_another_place(make_hub, tmp_path):
    here, there = make_hub(workers=0), make_hub(store=tmp_path / "other", workers=0)
    job = here.jobs.submit("pull", model=MODEL, variant="q4_0")
    assert there.jobs.submit("pull", model=MODEL, variant="q4_0").id != job.id


def test_kinds_can_be_added(hub):
    class Count(Payload):
        to: int

    def count(payload, context):
        for number in range(payload.to):
            context.progress("count", number + 1, payload.to, unit="numbers")
        return {"counted": payload.to}

    hub.jobs.add(Handler("count", Count, count))
    job = done(hub, "count", to=3)
    assert job.output == {"counted": 3}
    assert str(job) == f"job {job.id} count: succeeded, 3 of 3 numbers"
