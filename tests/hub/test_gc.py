"""Collecting garbage: what goes, what stays because of whom, on both databases and beside everything else."""

import hashlib
import os
from datetime import timedelta

import pytest
from sqlalchemy import delete, select, update

from modelhub.errors import InvalidInput, StoreUnavailable
from modelhub.facts import Collection, GarbageKind, JobKind, JobStatus
from modelhub.jobs import Holds
from modelhub.registry.tables import ArtifactLocationRow, LeaseRow
from modelhub.store.local import LocalStore

from .conftest import MODEL
from .test_purge import Q4, Q8, blobs, digests, folders, store, twin

__all__ = ["twin"]  # a fixture

AT_ONCE = {"grace": 0, "orphans": 0, "parts": 0, "quarantine": 0}


@pytest.fixture
def hub(make_hub, database_url):
    """On either database."""
    return make_hub(database=database_url)


def kinds(collection):
    return sorted((item.kind, item.name or item.path) for item in collection.items)


def put(hub, data):
    """A blob that the registry knows of and nobody has, as a sync leaves it that was killed."""
    import io

    from modelhub.store import Expected

    return hub.store._store.put(io.BytesIO(data), expect=Expected()).digest


def test_nothing_goes_while_everything_is_needed(hub, twin):
    hub.pull(f"{MODEL}:q8_0")
    hub.pull(f"{twin}:q8_0")
    before = blobs(hub)
    done = hub.store.gc(**AT_ONCE)
    assert done.items == ()
    assert blobs(hub) == before
    assert hub.verify(MODEL).ok
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0


def test_what_nobody_has_goes_after_its_time_and_is_told_before(hub, caplog):
    caplog.set_level("INFO", "modelhub")
    hub.pull(f"{MODEL}:q8_0")
    wanted = blobs(hub)
    stray = put(hub, b"of nobody" * 100)
    assert hub.store.gc(dry_run=True).items == ()
    young = hub.store.gc()
    assert young.items == ()
    assert [(one.files, one.bytes) for one in young.kept] == [(1, 900)]
    assert "used a moment ago" in str(young)
    would = hub.store.gc(dry_run=True, grace=0)
    (item,) = would.items
    assert (item.kind, item.digest, item.bytes) == (GarbageKind.BLOB, stray, 900)
    assert item.path == f"blobs/sha256/{stray[:2]}/{stray}"
    assert "would be collected" in str(would)
    assert "no repository needs it" in str(would)
    assert blobs(hub) == wanted | {stray}
    done = hub.store.gc(grace=timedelta(0))
    assert [one.digest for one in done.items] == [stray]
    assert done.bytes == 900
    assert Collection.model_validate(done.model_dump()) == done
    assert blobs(hub) == wanted
    with hub._registry.read() as tx:
        assert stray not in tx.garbage.known(hub.store._collector.place)
    job = hub.jobs.list(limit=1)[0]
    assert (job.kind, job.status) == (JobKind.STORE_GC, JobStatus.SUCCEEDED)
    (event,) = [record for record in caplog.records if record.message == "store_collected"][-1:]
    assert (event.items, event.bytes) == (1, 900)


def test_files_without_a_record_go_unless_some_repository_lists_them(hub):
    hub.pull(f"{MODEL}:q8_0")
    root, wanted = store(hub), blobs(hub)
    data = b"named by a writer who was killed before it was written down"
    stray = hashlib.sha256(data).hexdigest()
    (root / "blobs" / "sha256" / stray[:2]).mkdir(exist_ok=True)
    (root / "blobs" / "sha256" / stray[:2] / stray).write_bytes(data)
    with hub._registry.begin() as tx:  # one of the model's own loses its record
        tx.session.execute(delete(ArtifactLocationRow).where(ArtifactLocationRow.size_bytes > 10_000))
    assert hub.store.gc(grace=0).items == ()  # a day has not gone by
    done = hub.store.gc(grace=0, orphans=0)
    assert [(one.kind, one.digest) for one in done.items] == [(GarbageKind.ORPHAN, stray)]
    assert blobs(hub) == wanted
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0


def test_a_database_that_knows_nothing_of_a_store_deletes_nothing_in_it(hub, make_hub, tmp_path, caplog):
    hub.pull(f"{MODEL}:q8_0")
    before = blobs(hub)
    other = make_hub(home=tmp_path / "other", store=store(hub))
    done = other.store.gc(**AT_ONCE)
    assert not [one for one in done.items if one.kind is GarbageKind.ORPHAN]
    assert blobs(hub) == before
    assert "store_unknown" in caplog.text


def test_folders_that_nobody_has_go_and_those_that_are_noted_stay(hub):
    pulled = hub.pull(f"{MODEL}:q8_0")
    stray = pulled.path.parents[2] / "left" / "over" / pulled.commit
    stray.mkdir(parents=True)
    (stray / "config.json").write_bytes(b"{}")
    assert hub.store.gc().items == ()
    done = hub.store.gc(grace=0)
    assert [(one.kind, one.path, one.bytes) for one in done.items] == [
        (GarbageKind.SNAPSHOT, f"snapshots/left/over/{pulled.commit}", 2)
    ]
    assert folders(hub) == [("zoo", "tiny-chat-GGUF")]


def test_parts_quarantine_and_tables_go_when_they_are_old(hub):
    hub.pull(f"{MODEL}:q8_0")
    root, hex64 = store(hub), "ab" * 32
    old = 1_600_000_000
    for path, size in (
        (f"tmp/{hex64}.part", 70_000),
        (f"quarantine/{hex64}.0", 100),
        (f"blocks/sha256/ab/{hex64}", 50),
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(bytes(size))
        os.utime(root / path, (old, old))
    assert hub.store.gc().items == ()
    done = hub.store.gc(orphans=0, parts=0, quarantine=0)
    assert sorted(one.kind for one in done.items) == ["part", "quarantine", "table"]
    assert done.bytes >= 100 + 50 + 70_000
    assert not list((root / "tmp").iterdir())
    assert not list((root / "quarantine").iterdir())


def test_what_is_missing_is_said_and_comes_again(hub):
    pulled = hub.pull(f"{MODEL}:q8_0")
    lost = digests(pulled)[Q8]
    (store(hub) / "blobs" / "sha256" / lost[:2] / lost).unlink()
    done = hub.store.gc(grace=0)
    assert (done.items, done.missing) == ((), (lost,))
    assert "1 blobs are on record and not there" in str(done)
    assert hub.store.gc(grace=0).missing == ()
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    assert hub.verify(MODEL).ok


def test_forgotten_repositories_keep_their_files_unless_they_are_named(hub, twin):
    hub.pull(f"{MODEL}:q4_0")
    mine = hub.pull(f"{MODEL}:q8_0")
    other = hub.pull(f"{twin}:q8_0")
    hub.forget(MODEL)
    assert hub.store.gc(grace=0).items == ()
    would = hub.store.gc(grace=0, forgotten=True, dry_run=True)
    assert would.items
    done = hub.store.gc(grace=0, forgotten=True)
    assert kinds(done) == kinds(would)
    assert kinds(done) == [
        ("blob", "README.md"),
        ("blob", Q4),
        ("snapshot", f"snapshots/{MODEL}/{mine.commit}"),
    ]
    assert blobs(hub) == set(digests(other).values())  # which it shares stays
    assert folders(hub) == [("other", "twin")]
    again = hub.pull(f"{MODEL}:q4_0")
    assert again.fetched_bytes > 0
    assert hub.verify(MODEL).ok


def test_a_forgotten_repository_that_is_loaded_stays_whole(hub, make_hub, database_url):
    hub.chat(f"{MODEL}:q8_0", "x", runtime="echo")
    before = blobs(hub)
    hub.forget(MODEL)
    other = make_hub(database=database_url)
    done = other.store.gc(grace=0, forgotten=True)
    assert done.items == ()
    assert any(one.reason.startswith("loaded model") for one in done.kept)
    assert blobs(hub) == before
    hub.close()
    assert other.store.gc(grace=0, forgotten=True).items
    assert blobs(other) == set()


def test_a_lease_keeps_bytes_that_nobody_has(hub):
    stray = put(hub, b"stray")
    holds = Holds(hub._registry, hub.store._collector.place)
    with holds.hold(None, "reading", [stray]):
        done = hub.store.gc(grace=0)
        assert done.items == ()
        assert [(one.reason, one.files) for one in done.kept] == [("reading", 1)]
    assert [one.digest for one in hub.store.gc(grace=0).items] == [stray]
    with hub._registry.read() as tx:
        assert tx.session.scalars(select(LeaseRow.id)).all() == []


@pytest.mark.parametrize("kind", [JobKind.ARTIFACT_DOWNLOAD, JobKind.REPO_SYNC])
def test_what_comes_while_a_job_runs_that_may_bring_it_stays_however_short_the_grace(hub, kind):
    def work(_context):
        brought = put(hub, b"nobody lists it yet")
        assert hub.store.gc(grace=0).items == ()
        assert blobs(hub) == {brought}
        return {}

    hub.store._jobs.run(kind, "bringing it", {}, work)
    assert [one.size for one in hub.store._store.find(blobs(hub)).values()] == [19]
    hub.store.gc(grace=0)
    assert blobs(hub) == set()


def test_a_mark_that_was_left_on_bytes_which_somebody_needs_is_taken_back(hub):
    hub.pull(f"{MODEL}:q8_0")
    stray = put(hub, b"stray")
    with hub._registry.begin() as tx:  # as a deletion leaves them that was killed
        tx.session.execute(update(ArtifactLocationRow).values(state="deleting"))
    (item,) = hub.store.gc(dry_run=True).items
    assert (item.digest, item.reason) == (stray, "its deletion was cut short")
    assert [one.digest for one in hub.store.gc().items] == [stray]
    with hub._registry.read() as tx:
        assert set(tx.garbage.known(hub.store._collector.place).values()) == {"present"}
    assert hub.verify(MODEL).ok


def test_a_purge_that_was_cut_short_is_ended_by_a_collection(make_hub, database_url, twin, monkeypatch):
    hub = make_hub(database=database_url)
    hub.pull(f"{MODEL}:q8_0")
    kept = hub.pull(f"{twin}:q8_0")
    with monkeypatch.context() as patch:
        for name in ("remove_snapshot", "remove"):
            patch.setattr(LocalStore, name, lambda *_: (_ for _ in ()).throw(StoreUnavailable("cut")))
        with pytest.raises(StoreUnavailable):
            hub.purge(MODEL)
    assert ("zoo", "tiny-chat-GGUF") in folders(hub)
    done = hub.store.gc(grace=0)
    assert {one.reason for one in done.items} == {"its deletion was cut short", "no repository has it"}
    assert blobs(hub) == set(digests(kept).values())
    assert folders(hub) == [("other", "twin")]


def test_no_time_is_refused(hub):
    for name in ("grace", "orphans", "parts", "quarantine"):
        for span in (-1, "soon", float("nan"), float("inf"), 1e12):
            with pytest.raises(InvalidInput, match=name):
                hub.store.gc(**{name: span})


def test_a_worker_collects_what_was_handed_in(hub):
    digest = put(hub, b"nobody's")
    job = hub.jobs.submit("store_gc", **AT_ONCE)
    ended = hub.jobs.wait(job.id, timeout=60)
    assert digest in [item.digest for item in Collection.model_validate(ended.output).items]
    assert digest not in blobs(hub)
    with pytest.raises(InvalidInput, match=r"grace: -1\.0 is no time"):
        hub.jobs.submit("store_gc", grace=-1)


def test_a_collection_that_was_handed_in_and_one_that_is_called_for_are_one(make_hub, database_url):
    hub = make_hub(database=database_url, workers=0)
    job = hub.jobs.submit("store_gc", **AT_ONCE)
    other = hub.jobs.submit("store_gc", forgotten=True)
    hub.store.gc(**AT_ONCE)
    status = {each.id: each.status for each in hub.jobs.list(kind="store_gc")}
    assert status == {job.id: JobStatus.SUCCEEDED, other.id: JobStatus.QUEUED}
    hub.jobs.cancel(other.id)
