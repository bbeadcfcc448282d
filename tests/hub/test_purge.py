"""Forget and purge: what goes, what stays because of whom, and what a kill in between leaves."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from modelhub import ModelRef
from modelhub.errors import HubClosed, InUse, InvalidInput, RepositoryNotFound, StoreUnavailable
from modelhub.facts import Call, JobKind, JobStatus, Removal
from modelhub.registry.tables import ArtifactLocationRow, ArtifactRow, RepoFileRow
from modelhub.store.local import LocalStore
from tests.zoo.hub_server import Fault

from .conftest import MODEL

TWIN = "other/twin"
Q8, Q4 = "zoo-chat-q8_0.gguf", "zoo-chat-q4_0.gguf"


def store(hub):
    return Path(hub.settings.home) / "store"


def blobs(hub):
    return {path.name for path in (store(hub) / "blobs").rglob("*") if path.is_file()}


def folders(hub):
    return sorted(
        p.relative_to(store(hub) / "snapshots").parts[:2]
        for p in (store(hub) / "snapshots").glob("*/*/*")
    )


def digests(snapshot):
    return {file.path: file.sha256 for file in snapshot.files}


@pytest.fixture
def twin(server, zoo_gguf, tmp_path):
    """Another repository with one of the same files, and a card of its own."""
    folder = tmp_path / "twin"
    folder.mkdir()
    shutil.copy(zoo_gguf / Q8, folder / "same-q8_0.gguf")
    (folder / "README.md").write_text("# another\n")
    server.add(TWIN, folder)
    return TWIN


def test_forgotten_is_gone_from_everywhere_and_its_files_stay(hub, make_hub, server):
    pulled = hub.pull(f"{MODEL}:q8_0")
    forgotten = hub.forget(MODEL)
    assert (forgotten.repo, forgotten.files) == (MODEL, 2)
    assert forgotten.bytes == sum(file.size for file in pulled.files)
    assert "2 files of it" in str(forgotten)
    assert hub.repos() == ()
    assert blobs(hub) == set(digests(pulled).values())
    offline = make_hub(offline=True)
    for ask in (
        lambda: offline.inspect(MODEL),
        lambda: offline.plan(MODEL),
        lambda: offline.pull(MODEL),
        lambda: offline.chat(MODEL, "x", runtime="echo"),
        lambda: offline.files(MODEL),
        lambda: offline.forget(MODEL),
    ):
        with pytest.raises(RepositoryNotFound):
            ask()


def test_forgotten_comes_back_with_its_history_by_a_call(hub, server, zoo_gguf, tmp_path):
    before = hub.inspect(MODEL).commit
    hub.pull(f"{MODEL}:q8_0")
    hub.forget(MODEL)
    newer = tmp_path / "newer"
    shutil.copytree(zoo_gguf, newer)
    (newer / "extra.txt").write_text("new")
    server.push(MODEL, newer)
    again = hub.pull(f"{MODEL}:q8_0")
    assert again.commit == server.commit(MODEL) != before
    assert again.fetched_bytes == 0
    assert hub.inspect(f"{MODEL}@{before}").commit == before
    assert [record.repo.id for record in hub.repos()] == [MODEL]


def test_purged_leaves_nothing_and_can_be_had_again(hub, server, caplog):
    caplog.set_level(logging.INFO, "modelhub")
    pulled = hub.pull(f"{MODEL}:q8_0")
    would = hub.purge(MODEL, dry_run=True)
    assert would.dry_run
    assert "would be purged" in str(would)
    assert blobs(hub)
    done = hub.purge(MODEL)
    assert done == would.model_copy(update={"dry_run": False})
    assert {file.path: file.sha256 for file in done.removed} == digests(pulled)
    assert (done.commits, done.models, done.kept, done.kept_bytes) == (1, 1, (), 0)
    assert done.removed_bytes == sum(file.size for file in pulled.files)
    assert "\n" not in repr(done)
    assert Removal.model_validate(done.model_dump()) == done
    assert (blobs(hub), folders(hub), hub.repos()) == (set(), [], ())
    assert list((store(hub) / "tmp").iterdir()) == []
    with hub._registry.read() as tx:
        for table in (ArtifactRow, ArtifactLocationRow, RepoFileRow):
            assert tx.session.scalar(select(func.count()).select_from(table)) == 0
    (job,) = hub.jobs.list(limit=1)
    assert (job.kind, job.status) == (JobKind.REPO_PURGE, JobStatus.SUCCEEDED)
    events = [record.message for record in caplog.records]
    assert "repo_purged" in events
    server.reset_counts()
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    assert hub.verify(f"{MODEL}:q8_0").ok


def test_what_another_repository_has_stays_and_both_can_be_told(hub, make_hub, twin, zoo_gguf):
    hub.pull(f"{MODEL}:q8_0")
    hub.pull(f"{MODEL}:q4_0")
    shared = hub.pull(f"{twin}:q8_0")
    assert shared.fetched_bytes == 0
    done = hub.purge(MODEL)
    assert [(file.path, file.users) for file in done.kept] == [(Q8, (TWIN,))]
    assert {file.path for file in done.removed} == {Q4, "README.md"}
    assert f"kept     1 file, {done.kept_bytes / 1e6:.3g} MB" in str(done)
    assert f"for {TWIN}" in str(done)
    assert blobs(hub) == set(digests(shared).values())
    assert folders(hub) == [("other", "twin")]
    assert (shared.path / "same-q8_0.gguf").read_bytes() == (zoo_gguf / Q8).read_bytes()
    offline = make_hub(offline=True)
    assert offline.verify(twin).ok
    assert offline.chat(f"{twin}:q8_0", "x", runtime="echo").text == "x"


def test_what_a_forgotten_repository_has_stays_until_that_is_purged_too(hub, twin):
    hub.pull(f"{twin}:q8_0")
    hub.pull(f"{MODEL}:q8_0")
    hub.forget(twin)
    assert hub.purge(MODEL).kept[0].users == (f"{TWIN} (forgotten)",)
    assert hub.purge(twin).removed_bytes > 0
    assert blobs(hub) == set()


def test_a_part_of_a_repository_cannot_be_removed(hub):
    hub.inspect(MODEL)
    for remove in (hub.forget, hub.purge):
        for part in (f"{MODEL}:q8_0", f"{MODEL}@main"):
            with pytest.raises(InvalidInput, match="only a whole one") as caught:
                remove(part)
            assert caught.value.details["field"] == "model"
    for remove in (hub.forget, hub.purge):
        with pytest.raises(RepositoryNotFound, match="zoo/tiny-cat"):
            remove("zoo/tiny-cat")


def test_a_folder_of_the_user_is_not_touched(hub, zoo_gguf):
    pulled = hub.pull(zoo_gguf, variant="q8_0")
    assert blobs(hub)
    hub.purge(zoo_gguf)
    assert blobs(hub) == set()
    assert not pulled.path.exists()
    assert (zoo_gguf / Q8).exists()


def test_a_forgotten_folder_is_not_revived_as_another_of_its_name(hub, zoo_gguf, tmp_path):
    first, second = tmp_path / "a" / "foo", tmp_path / "b" / "foo"
    for place in (first, second):
        shutil.copytree(zoo_gguf, place)
    one = hub.sync(str(first)).repo
    hub.forget(str(first))
    other = hub.sync(str(second)).repo
    assert other != one
    assert hub.sync(str(first)).repo == one
    assert {record.repo.id for record in hub.repos()} == {one, other}


def test_a_loaded_model_is_not_purged_by_its_hub_or_another(hub, make_hub):
    hub.chat(f"{MODEL}:q8_0", "x", runtime="echo")
    with pytest.raises(InUse, match="this Hub has it loaded"):
        hub.purge(MODEL)
    other = make_hub()
    with pytest.raises(InUse, match=rf"echo has {Q8} loaded in process {os.getpid()}") as caught:
        other.purge(MODEL)
    assert caught.value.details["holders"]
    assert Q8 in caught.value.message
    assert other.verify(MODEL).ok
    hub.close()
    assert other.purge(MODEL).removed
    with pytest.raises(HubClosed):
        hub.purge(MODEL)


def test_a_running_fetch_holds_it_and_is_not_hurt(hub, make_hub, server):
    hub.sync(MODEL)
    server.faults[Q8] = Fault(rate=500_000)
    pulled = []
    thread = threading.Thread(target=lambda: pulled.append(hub.pull(f"{MODEL}:q8_0")))
    thread.start()
    while hub.jobs.list(limit=1)[0].kind is not JobKind.ARTIFACT_DOWNLOAD:
        time.sleep(0.02)
    with pytest.raises(InUse, match="fetches it"):
        make_hub().purge(MODEL)
    thread.join(60)
    assert pulled[0].fetched_bytes > 0
    assert make_hub().purge(MODEL).removed


CUT = """
import os, signal, sys
from modelhub import Hub
from modelhub.settings import Settings
from modelhub.store.local import LocalStore
setattr(LocalStore, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
Hub(Settings.from_env({}, home=sys.argv[1]), progress=False).purge(sys.argv[3])
"""


@pytest.mark.parametrize("at", ["remove_snapshot", "remove"])
def test_a_kill_between_rows_and_bytes_leaves_only_bytes_which_the_next_purge_sees(
    hub, make_hub, twin, at
):
    hub.pull(f"{MODEL}:q8_0")
    own = digests(hub.pull(f"{MODEL}:q4_0"))
    shared = hub.pull(f"{twin}:q8_0")
    hub.close()
    killed = subprocess.run([sys.executable, "-c", CUT, str(hub.settings.home), at, MODEL], check=False)
    assert killed.returncode == -signal.SIGKILL
    after = make_hub()
    assert [record.repo.id for record in after.repos()] == [TWIN]
    assert own[Q4] in blobs(after)
    assert (("zoo", "tiny-chat-GGUF") in folders(after)) is (at == "remove_snapshot")
    with after._registry.read() as tx:  # each location has its file
        for digest in tx.session.scalars(select(ArtifactRow.hash_sha256).join(ArtifactLocationRow)):
            assert digest in blobs(after)
    assert after.verify(TWIN).ok
    left = after.purge(MODEL, dry_run=True)
    assert after.purge(MODEL.upper()) == left.model_copy(update={"dry_run": False})
    assert own[Q4] in {file.sha256 for file in left.removed}
    with pytest.raises(RepositoryNotFound):
        after.purge(MODEL)  # nothing is left now
    assert blobs(after) == set(digests(shared).values())
    assert folders(after) == [("other", "twin")]
    jobs = [job for job in after.jobs.list() if job.kind is JobKind.REPO_PURGE]
    assert [job.status for job in jobs] == [JobStatus.SUCCEEDED]


def test_a_purge_that_was_cut_short_spares_what_is_had_again(hub, make_hub):
    pulled = hub.pull(f"{MODEL}:q8_0")
    hub.close()
    command = [sys.executable, "-c", CUT, str(hub.settings.home), "remove_snapshot", MODEL]
    subprocess.run(command, check=False)
    after = make_hub()
    assert after.pull(f"{MODEL}:q8_0").fetched_bytes == 0  # the bytes were still here
    with pytest.raises(RepositoryNotFound):
        after.purge("zoo/unknown")
    assert after.verify(f"{MODEL}:q8_0").ok
    assert (pulled.path / Q8).exists()
    assert after.purge(MODEL).removed
    assert blobs(after) == set()


def test_a_purge_that_fails_is_ended_by_the_next_one(hub, make_hub, monkeypatch, caplog):
    hub.pull(f"{MODEL}:q8_0")

    def fail(*_):
        raise StoreUnavailable("the disk is read-only")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "remove", fail)
        with pytest.raises(StoreUnavailable):
            hub.purge(MODEL)
        for _ in range(4):
            with pytest.raises(StoreUnavailable):
                hub.purge(MODEL)
            with pytest.raises(RepositoryNotFound):
                hub.purge("zoo/unknown")
        with hub._registry.read() as tx:
            assert len(tx.jobs.purges_left(hub.settings.store)) == 2  # the first, and the last attempt
        assert "purge_not_finished" in [record.message for record in caplog.records]
    left = blobs(hub)
    assert left
    assert {file.sha256 for file in hub.purge(MODEL).removed} == left
    assert blobs(hub) == set()
    with pytest.raises(RepositoryNotFound):
        hub.purge(MODEL)
    with hub._registry.read() as tx:
        assert tx.jobs.purges_left(hub.settings.store) == ()


def test_a_call_that_comes_too_late_says_why(hub):
    hub.sync(MODEL)
    target = hub._resolver.resolve(ModelRef.parse(MODEL), Call())
    hub.purge(MODEL)
    with pytest.raises(RepositoryNotFound, match="purged meanwhile"):
        hub._resolver.listing(target)


def test_bytes_that_are_used_again_while_they_are_removed_are_said_to_stay(hub, monkeypatch):
    hub.pull(f"{MODEL}:q8_0")
    monkeypatch.setattr(LocalStore, "remove", lambda *_: False)
    done = hub.purge(MODEL)
    assert done.removed == ()
    assert {file.users for file in done.kept} == {("used again meanwhile",)}


def test_the_whole_way_on_either_database(make_hub, database_url, twin):
    hub = make_hub(database=database_url)
    hub.pull(f"{MODEL}:q8_0")
    hub.pull(f"{twin}:q8_0")
    hub.forget(MODEL)
    assert hub.purge(MODEL).kept_bytes > 0
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert hub.purge(TWIN).kept[0].users == (MODEL,)
    assert hub.verify(f"{MODEL}:q8_0").ok
