"""The store on a local folder: the contract, and what only folders can do."""

import io
import logging
import os
import stat
import subprocess

import pytest

from modelhub.errors import IntegrityError, StoreFull, StoreUnavailable
from modelhub.refs import Digest, RepoPath
from modelhub.store import Expected, FileLedger, Store
from modelhub.store.fsops import FsOps
from modelhub.store.testing import COMMIT, Dribble, StoreContract, pattern, promise, put

from .hands import blob, flip, names


class TestLocalStore(StoreContract):
    def raw(self, store, digest):
        try:
            return blob(store, digest).read_bytes()
        except FileNotFoundError:
            return None

    def visible(self, store):
        return {name for _, _, files in os.walk(store.root / "blobs") for name in files}

    def spoil(self, store, digest):
        flip(blob(store, digest))

    def remove(self, store, digest):
        blob(store, digest).unlink()


# opening


def test_a_store_is_opened_by_path_and_by_address(tmp_path, ledger):
    for place in (tmp_path / "a b", str(tmp_path / "a b"), f"file://{tmp_path}/a%20b"):
        with Store.open(place, ledger) as store:
            assert store.root == tmp_path / "a b"
            assert store.uri == f"file://{tmp_path}/a%20b"
    assert names(tmp_path / "a b") == ["blobs", "blocks", "quarantine", "snapshots", "tmp"]
    assert names(tmp_path / "a b" / "tmp") == []


@pytest.mark.parametrize(
    "place",
    [
        "gs://bucket/models",
        "ftp:///models",
        "file://server/share",
        "file://",
        "http://h/x?a",
        "",
    ],
)
def test_other_places_are_refused(place, ledger):
    with pytest.raises(StoreUnavailable, match="file:///folder") as caught:
        Store.open(place, ledger)
    assert place in str(caught.value)


def test_a_file_in_the_place_of_the_store_is_refused(tmp_path, ledger):
    (tmp_path / "taken").write_text("mine")
    for place in (tmp_path / "taken", tmp_path / "taken" / "below"):
        with pytest.raises(StoreUnavailable, match="not a folder") as caught:
            Store.open(place, ledger)
        assert str(place) in str(caught.value)
        assert caught.value.hint
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("name", ["blobs", "tmp", "quarantine", "snapshots"])
def test_a_link_in_the_place_of_a_folder_is_refused(tmp_path, ledger, name):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match=f"{name} is a file or a symbolic link"):
        Store.open(tmp_path / "store", ledger)
    assert names(tmp_path / "elsewhere") == []


def test_a_folder_that_cannot_be_made_is_refused(ledger):
    with pytest.raises(StoreUnavailable, match="/proc/modelhub") as caught:
        Store.open("/proc/modelhub", ledger)
    assert caught.value.details["reason"]


def test_a_read_only_folder_is_refused(tmpfs, tmp_path, ledger):
    folder = tmpfs("ro", "1m", "ro")
    with pytest.raises(StoreUnavailable, match=r"[Rr]ead-only") as caught:
        Store.open(folder, ledger)
    assert str(folder) in str(caught.value)


def test_a_folder_that_became_read_only_is_refused(tmpfs, ledger):
    folder = tmpfs("later", "1m")
    Store.open(folder, ledger).close()
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    with pytest.raises(StoreUnavailable, match=str(folder)):
        Store.open(folder, ledger)


@pytest.mark.skipif(os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_without_permission_is_refused(tmp_path, ledger):
    (tmp_path / "locked").mkdir(mode=0o555)
    with pytest.raises(StoreUnavailable, match="locked"):
        Store.open(tmp_path / "locked" / "store", ledger)


def test_a_closed_store_says_so(store):
    digest = put(store, b"data").digest
    store.close()
    store.close()
    for use in (lambda: put(store, b"x"), lambda: store.find([digest]), lambda: store.verify([digest])):
        with pytest.raises(StoreUnavailable, match="closed"):
            use()


# put


def test_blobs_are_read_only_and_private_until_they_are_whole(store):
    data = pattern(100_000)
    modes = []

    class Looking(Dribble):
        def readinto(self, buffer, /):
            modes.extend(
                os.lstat(store.root / "tmp" / n).st_mode & 0o777 for n in names(store.root / "tmp")
            )
            return super().readinto(buffer)

    digest = store.put(Looking(data), expect=promise(data)).digest
    assert set(modes) == {0o600}
    assert os.lstat(store.path(digest)).st_mode & 0o777 == 0o444
    assert os.lstat(store.path(digest)).st_nlink == 1
    assert names(store.root / "tmp") == []


def test_everything_is_durable_before_it_is_visible(store, tmp_path, ledger):
    class Order(FsOps):
        def __init__(self):
            self.calls = []

        def fsync(self, fd):
            look = os.fstat(fd)
            self.calls.append("fsync folder" if stat.S_ISDIR(look.st_mode) else "fsync file")
            super().fsync(fd)

        def pwrite(self, fd, data, offset):
            self.calls.append("write")
            return super().pwrite(fd, data, offset)

        def link(self, *args, **fds):
            self.calls.append("link")
            super().link(*args, **fds)

    ops = Order()
    with Store.open(tmp_path / "ordered", ledger, ops=ops) as ordered:
        ops.calls.clear()
        put(ordered, b"data")
    assert ops.calls == ["write", "fsync file", "fsync folder", "link", "fsync folder"]


def test_a_failed_put_leaves_no_temp(store):
    with pytest.raises(IntegrityError):
        store.put(io.BytesIO(b"short"), expect=Expected(size=6))
    with pytest.raises(IntegrityError):
        store.put(io.BytesIO(b"wrong"), expect=Expected(sha256=Digest.of(b"right")))
    assert names(store.root / "tmp") == []
    assert names(store.root / "quarantine") == []


def test_an_unrecorded_blob_is_vouched_for_by_the_next_put(store, tmp_path):
    """A writer died between publishing and recording."""
    data = pattern(100_000)
    digest = put(store, data).digest
    inode = os.lstat(store.path(digest)).st_ino
    with Store.open(store.root, FileLedger(tmp_path / "empty.jsonl")) as later:
        assert later.find([digest])[digest].proof is None
        put(later, data)
        assert later.find([digest])[digest].proof is not None
    assert os.lstat(store.path(digest)).st_ino == inode


def test_a_store_that_was_moved_is_hashed_again_and_fetches_nothing(store, tmp_path):
    digest, damaged = put(store, pattern(100_000)).digest, put(store, pattern(90_000)).digest
    moved = store.root.rename(tmp_path / "moved")
    with Store.open(moved, FileLedger(tmp_path / "empty.jsonl")) as later:
        flip(later.path(damaged))
        assert later.present([digest, damaged]) == {digest, damaged}
        assert later.verify([digest])[digest].proof is not None
        with pytest.raises(IntegrityError):
            later.verify([damaged])
        assert later.present([digest, damaged]) == {digest}


def test_where_there_are_no_hard_links_blobs_are_renamed(tmp_path, ledger):
    class NoLinks(FsOps):
        def link(self, *_args, **_fds):
            raise PermissionError(1, "Operation not permitted")

    data = pattern(100_000)
    with Store.open(tmp_path / "store", ledger, ops=NoLinks()) as store:
        digest = put(store, data).digest
        inode = os.lstat(store.path(digest)).st_ino
        put(store, data)
        assert os.lstat(store.path(digest)).st_ino == inode
        assert names(store.root / "tmp") == []
        snapshot = store.link("v", "n", COMMIT, {RepoPath("a/m.gguf"): digest})
    assert snapshot.files[0].link == "symlink"
    assert not (snapshot.path / "a" / "m.gguf").readlink().is_absolute()
    assert (snapshot.path / "a" / "m.gguf").read_bytes() == data


def test_where_there_are_no_locks_it_works_too(tmp_path, ledger):
    class NoLocks(FsOps):
        def try_lock(self, _fd):
            raise OSError(37, "No locks available")

    data = pattern(100_000)
    with Store.open(tmp_path / "store", ledger, ops=NoLocks()) as store:
        put(store, data)
        put(store, data)
        store.link("v", "n", COMMIT, {RepoPath("m.gguf"): Digest.of(data)})
        flip(store.path(Digest.of(data)))
        with pytest.raises(IntegrityError):
            store.verify([Digest.of(data)])


def test_what_does_not_fit_is_refused_before_it_starts(tmpfs, ledger):
    with Store.open(tmpfs("small", "2m"), ledger) as store:
        data = pattern(3_000_000)
        stream = Dribble(data)
        with pytest.raises(StoreFull, match=r"needs 3 MB, .* are free, .* are missing") as caught:
            store.put(stream, expect=promise(data))
        assert stream.given == 0
        assert caught.value.details["need"] == 3_000_000
        assert 0 < caught.value.details["free"] < 3_000_000


def test_a_disk_that_fills_up_leaves_nothing(tmpfs, ledger):
    with Store.open(tmpfs("small", "2m"), ledger) as store:
        kept = put(store, pattern(500_000)).digest
        with pytest.raises(StoreFull, match="is full"):
            store.put(Dribble(pattern(5_000_000)), expect=Expected(name="big.gguf"))
        assert names(store.root / "tmp") == []
        assert store.verify([kept], "full")
        assert put(store, pattern(1_000_000, 1)).size == 1_000_000


def test_a_full_disk_while_copying_leaves_no_half_file(tmpfs, ledger):
    with Store.open(tmpfs("small", "2m"), ledger) as store:
        digest = put(store, pattern(1_200_000)).digest
        with pytest.raises(StoreFull, match=r"model\.onnx"):
            store.link("v", "n", COMMIT, {RepoPath("model.onnx"): digest})
        assert not (store.root / "snapshots" / "v" / "n" / COMMIT / "model.onnx").exists()
        assert names(store.root / "tmp") == []


def test_events_are_logged_without_content(store, caplog):
    caplog.set_level(logging.INFO, "modelhub.store")
    digest = put(store, b"secret content", "a/b.gguf").digest
    flip(store.path(digest))
    with pytest.raises(IntegrityError):
        store.verify([digest])
    stored, aside = caplog.records
    assert (stored.message, stored.hash, stored.file_path) == ("artifact_stored", digest, "a/b.gguf")
    assert (aside.message, aside.hash) == ("artifact_quarantined", digest)
    assert aside.file_path == f"blobs/sha256/{digest[:2]}/{digest}"
    assert stored.duration_ms >= 0
    assert aside.duration_ms >= 0
    assert "secret content" not in caplog.text
