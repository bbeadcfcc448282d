"""Adopting what the real huggingface_hub has fetched, and what only looks like it."""

import hashlib
import json
import os

import pytest
from huggingface_hub import snapshot_download

from modelhub.errors import Cancelled, InvalidInput, StoreUnavailable
from modelhub.refs import Digest, ModelRef
from tests.hub.conftest import MODEL

WEIGHTS = ".gguf"
COMMIT = "c0ffee" * 6 + "c0de"


@pytest.fixture
def cache(server, tmp_path):
    """What `hf download` leaves behind."""
    folder = tmp_path / "hf" / "hub"
    snapshot_download(MODEL, endpoint=server.endpoint, cache_dir=folder, token=False)
    server.reset_counts()
    return folder


def files(store):
    return [path for path in (store / "blobs").rglob("*") if path.is_file()]


def weights_asked_for(server):
    return [one for one in server.requests if one.path.endswith(WEIGHTS)]


def everything_in(cache):
    return {path: os.lstat(path).st_mtime_ns for path in cache.rglob("*")}


def test_what_was_synced_needs_no_request_at_all(make_hub, cache, server, tmp_path):
    make_hub().sync(MODEL)
    server.reset_counts()
    before = everything_in(cache)
    hub = make_hub(offline=True)
    report = hub.adopt_hf_cache(cache)
    assert report.rejected == ()
    (commit,) = report.commits
    assert (commit.repo, commit.commit, commit.known) == (MODEL, server.commit(MODEL), True)
    listed = hub.files(MODEL)
    assert report.adopted + report.present == len(listed)
    assert all(file.sha256 for file in listed), "the small ones too, which only git had named"
    pulled = hub.pull(f"{MODEL}:q4_0")
    assert pulled.fetched_bytes == 0
    for file in pulled.files:
        original = next((cache / f"models--{MODEL.replace('/', '--')}" / "snapshots").iterdir())
        assert (pulled.path / file.path).read_bytes() == (original / file.path).read_bytes()
    assert server.requests == []
    assert everything_in(cache) == before, "the cache stays as it is"
    assert hub.store.gc(dry_run=True, grace=0).items == ()


def test_what_was_not_synced_is_found_by_the_next_sync(make_hub, cache, server):
    hub = make_hub()
    report = hub.adopt_hf_cache(cache)
    assert server.requests == []
    assert (report.rejected, report.commits[0].known) == ((), False)
    assert report.bytes == sum(path.stat().st_size for path in files(hub._resolver.syncer.store.root))
    assert [record.repo.id for record in hub.repos()] == [MODEL]
    assert hub.store.gc().items == (), "an hour is time enough for a sync"
    hub.sync(MODEL)  # which reads their headers
    server.reset_counts()
    pulled = hub.pull(f"{MODEL}:q4_0")
    assert weights_asked_for(server) == []
    large = max(pulled.files, key=lambda file: file.size)
    assert pulled.reused_bytes >= large.size


def test_a_second_adoption_reads_nothing_and_moves_nothing(make_hub, cache):
    hub = make_hub()
    hub.sync(MODEL)
    first = hub.adopt_hf_cache(cache)
    stages = []
    again = hub.adopt_hf_cache(cache, progress=stages.append)
    assert (again.adopted, again.bytes, again.present) == (0, 0, first.adopted + first.present)
    assert stages[-1].stage == "adopt"
    assert stages[-1].done == stages[-1].total


def test_hard_links_take_no_room_and_can_be_adopted_again(make_hub, cache):
    hub = make_hub()
    report = hub.adopt_hf_cache(cache, mode="hardlink")
    assert report.rejected == ()
    originals = {path.stat().st_ino for path in cache.rglob("*") if path.is_file()}
    assert all(path.stat().st_ino in originals for path in files(hub._resolver.syncer.store.root))
    assert hub.adopt_hf_cache(cache, mode="hardlink").rejected == ()


def blob(cache):
    """The largest file of the cache."""
    return max(cache.glob("models--*/blobs/*"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("synced", [True, False])
@pytest.mark.parametrize("damage", ["empty", "short", "flipped"])
def test_what_a_power_cut_or_a_disk_left_is_rejected(make_hub, cache, synced, damage):
    hub = make_hub()
    if synced:
        hub.sync(MODEL)
    wrong = blob(cache)
    data = bytearray(wrong.read_bytes())
    data[len(data) // 2] ^= 1
    wrong.chmod(0o644)
    wrong.write_bytes({"empty": b"", "short": data[:-1], "flipped": data}[damage])
    before = {path.name for path in files(hub._resolver.syncer.store.root)}
    report = hub.adopt_hf_cache(cache)
    (rejected,) = report.rejected
    assert rejected.path.endswith(wrong.name)
    assert ("size" if damage != "flipped" else "sha256") in rejected.reason
    assert report.adopted + report.present > 0
    assert wrong.name not in {path.name for path in files(hub._resolver.syncer.store.root)} - before
    assert wrong.name in str(report)


@pytest.fixture
def made(tmp_path):
    """A cache that is made by hand: a function that gives a commit a file of these bytes."""
    root = tmp_path / "made"

    def add(name, data, *, repo="models--org--thing", blob_name=None):
        blobs, commit = root / repo / "blobs", root / repo / "snapshots" / COMMIT
        blobs.mkdir(parents=True, exist_ok=True)
        target = blobs / (blob_name or hashlib.sha256(data).hexdigest())
        target.write_bytes(data)
        link = commit / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(target, link.parent))
        return target

    add.root = root
    add.commit = root / "models--org--thing" / "snapshots" / COMMIT
    return add


def reasons(report):
    return {one.path.rpartition("/")[2]: one.reason for one in report.rejected}


def test_bytes_that_repositories_share_take_a_second_link(make_hub, made):
    data = b"shared" * 1000
    target = made("a/model.safetensors", data)
    shared = made.root / "blobs" / "ab" / ("ab" * 32)
    shared.parent.mkdir(parents=True)
    target.rename(shared)
    target.symlink_to(os.path.relpath(shared, target.parent))
    hub = make_hub()
    report = hub.adopt_hf_cache(made.root)
    assert (report.adopted, report.bytes, report.rejected) == (1, len(data), ())
    assert [path.name for path in files(hub._resolver.syncer.store.root)] == [Digest.of(data)]


def test_files_without_links_are_known_by_the_listing(make_hub, made):
    made("config.json", b"{}", blob_name=hashlib.sha1(b"blob 2\0{}").hexdigest())
    for name, data in (("large.bin", b"large"), ("small.txt", b"small"), ("unknown", b"x")):
        (made.commit / name).write_bytes(data)
    oid = hashlib.sha1(b"blob 5\0small").hexdigest()
    said = {
        "large.bin": {"size": 5, "blob_id": "0" * 40, "lfs_sha256": Digest.of(b"large"), "lfs_size": 5},
        "small.txt": {"size": 5, "blob_id": oid},
        "hostile": [1],
    }
    trees = made.commit.parents[1] / "trees"
    trees.mkdir()
    (trees / f"{COMMIT}.json").write_text(json.dumps({"format_version": 1, "files": said}))
    report = make_hub().adopt_hf_cache(made.root)
    assert report.adopted == 3
    assert reasons(report) == {"unknown": "nothing says what its bytes should be"}


@pytest.mark.parametrize("text", ["", "[", "[]", '{"files": 1}', "[" * 100_000, '{"files": {"a": 1}}'])
def test_a_listing_that_is_none_says_nothing(make_hub, made, text):
    made("model.gguf", b"data")
    trees = made.commit.parents[1] / "trees"
    trees.mkdir()
    (trees / f"{COMMIT}.json").write_text(text)
    assert make_hub().adopt_hf_cache(made.root).adopted == 1


def test_links_that_lead_elsewhere_are_not_followed(make_hub, made, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    name = hashlib.sha256(b"secret").hexdigest()
    made("good", b"good")
    blobs = made.root / "models--org--thing" / "blobs"
    (made.commit / "out").symlink_to(os.path.relpath(secret, made.commit))
    (made.commit / "absolute").symlink_to(secret)
    (made.commit / "loop").symlink_to("loop")
    (made.commit / "folder").symlink_to(tmp_path)
    (made.commit / "nowhere").symlink_to("../../blobs/" + "0" * 64)
    (blobs / name).symlink_to(os.path.relpath(secret, blobs))
    (made.commit / "twice").symlink_to(f"../../blobs/{name}")
    os.mkfifo(made.commit / "pipe")
    (made.commit / "CON").write_bytes(b"x")
    (made.root / "models--evil--one").mkdir()
    (made.root / "models--evil--one" / "blobs").symlink_to(tmp_path)
    (made.root / "models--evil--one" / "snapshots").mkdir()
    (made.root / "models--evil--one" / "snapshots" / COMMIT).mkdir()
    elsewhere = tmp_path / name
    elsewhere.write_bytes(b"secret")
    (made.root / "models--evil--one" / "snapshots" / COMMIT / "x").symlink_to(f"../../blobs/{name}")
    hub = make_hub()
    report = hub.adopt_hf_cache(made.root)
    assert report.adopted == 1
    assert reasons(report).keys() == {
        "out", "absolute", "loop", "folder", "nowhere", "twice", "pipe", "CON", name
    }  # fmt: skip
    stored = [path.read_bytes() for path in files(hub._resolver.syncer.store.root)]
    assert stored == [b"good"]
    assert [record.repo.id for record in hub.repos()] == ["org/thing"]


def test_what_is_no_model_is_left_alone(make_hub, made):
    made("good", b"good")
    made("data", b"data", repo="datasets--org--thing")
    made("good.incomplete", b"half")
    for folder in (".locks", "models--org--thing/.no_exist", "models--a--b--c/snapshots"):
        (made.root / folder / COMMIT).mkdir(parents=True)
        (made.root / folder / COMMIT / "x").touch()
    (made.root / "models--org--thing" / "snapshots" / "main").mkdir()
    (made.root / "models--org--thing" / "snapshots" / "main" / "x").touch()
    report = make_hub().adopt_hf_cache(made.root)
    assert (report.adopted, report.rejected) == (1, ())
    assert [one.repo for one in report.commits] == ["org/thing"]


def test_only_files_of_a_synced_commit_are_taken(make_hub, cache, server):
    hub = make_hub()
    hub.sync(MODEL)
    data = b"#!/bin/sh"
    repo = blob(cache).parents[1]
    (repo / "blobs" / hashlib.sha256(data).hexdigest()).write_bytes(data)
    commit = repo / "snapshots" / server.commit(MODEL)
    (commit / "extra.sh").symlink_to(f"../../blobs/{hashlib.sha256(data).hexdigest()}")
    report = hub.adopt_hf_cache(cache)
    assert [one.reason for one in report.rejected] == ["the commit has no such file"]


def test_a_planted_hard_link_in_a_cache_of_others_is_rejected(make_hub, made, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    target = made("x", b"secret")
    target.unlink()
    os.link(secret, target)
    made.root.chmod(0o777)
    report = make_hub().adopt_hf_cache(made.root)
    assert (report.adopted, len(report.rejected)) == (0, 1)
    assert "2 names" in report.rejected[0].reason
    made.root.chmod(0o755)
    assert make_hub().adopt_hf_cache(made.root).adopted == 1


def test_a_forgotten_repository_stays_forgotten(make_hub, cache):
    hub = make_hub()
    hub.sync(MODEL)
    hub.forget(MODEL)
    assert hub.adopt_hf_cache(cache).commits[0].known is False
    assert hub.repos() == ()


def test_it_can_be_stopped_and_what_came_stays(make_hub, made):
    for number in range(3):
        made(f"{number}.bin", b"%d" % number * 1000)
    hub = make_hub()

    def stop(progress):
        if progress.done >= 2000:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        hub.adopt_hf_cache(made.root, progress=stop)
    report = hub.adopt_hf_cache(made.root)
    assert report.adopted + report.present == 3
    assert report.present >= 1


def test_where_it_looks_by_default(make_hub, made):
    made("good", b"good")
    assert make_hub(hf_cache=made.root).adopt_hf_cache().cache == str(made.root)


def test_bad_input_is_refused(make_hub, tmp_path, made):
    hub = make_hub()
    with pytest.raises(InvalidInput, match="nowhere"):
        hub.adopt_hf_cache(tmp_path / "nowhere")
    made("good", b"good")
    with pytest.raises(InvalidInput, match="mode"):
        hub.adopt_hf_cache(made.root, mode="move")
    with pytest.raises(InvalidInput, match="cannot be read as a cache"):
        hub.adopt_hf_cache(made.root / "models--org--thing" / "blobs" / Digest.of(b"good"))
    assert ModelRef.parse("org/thing").id not in [record.repo.id for record in hub.repos()]


def test_a_mode_that_cannot_be_is_an_error_not_a_rejection(make_hub, made, monkeypatch):
    made("good", b"good")

    def no_links(*_args, **_kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("modelhub.store.fsops.FsOps.link", no_links)
    with pytest.raises(StoreUnavailable, match="hardlink"):
        make_hub().adopt_hf_cache(made.root, mode="hardlink")


def test_a_hard_link_to_a_file_of_another_owner_is_no_fault_of_the_store(make_hub, made):
    if os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    target = made("model.gguf", b"data")
    os.chown(target, 12345, 12345)
    target.chmod(0o664)
    hub = make_hub()
    assert hub.adopt_hf_cache(made.root, mode="hardlink").adopted == 1
    assert hub.store.check(repair=True).faults == ()
    assert target.stat().st_mode & 0o777 == 0o664
