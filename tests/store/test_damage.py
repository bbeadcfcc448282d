"""What happens to a store around it: lost bits, deleted files, planted links, dead writers."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.errors import ArtifactNotFound, IntegrityError, StoreUnavailable
from modelhub.facts import BlobState
from modelhub.refs import Digest, RepoPath
from modelhub.store import FileLedger, Store
from modelhub.store.fsops import FsOps
from modelhub.store.testing import COMMIT, Dribble, pattern, promise, put

from .hands import flip, names, unlock


def test_a_flipped_bit_is_kept_as_evidence(store, ledger):
    data = pattern(100_000)
    digest = put(store, data).digest
    flip(store.path(digest))
    with pytest.raises(IntegrityError, match=f"blobs/sha256/{digest[:2]}/{digest}") as caught:
        store.verify([digest])
    (kept,) = names(store.root / "quarantine")
    assert kept in caught.value.hint
    assert Path(store.root / "quarantine" / kept).read_bytes() != data
    assert ledger.find([digest])[digest].state is BlobState.QUARANTINED


def test_a_bit_that_the_disk_flipped_is_found_by_a_full_verify(tmp_path, ledger):
    """No time moves when a disk loses a bit; here, because the spy shows the old times."""

    class OldTimes(FsOps):
        fixed = None

        def fstat(self, fd):
            look = super().fstat(fd)
            return self.fixed if self.fixed and self.fixed.st_ino == look.st_ino else look

        def lstat(self, path, *, dir_fd=None):
            return self.fixed or super().lstat(path, dir_fd=dir_fd)

    ops = OldTimes()
    with Store.open(tmp_path / "store", ledger, ops=ops) as store:
        digest = put(store, pattern(100_000)).digest
        ops.fixed = os.lstat(store.path(digest))
        flip(store.path(digest))
        assert store.verify([digest])
        with pytest.raises(IntegrityError):
            store.verify([digest], "full")


def test_a_missing_file_is_recorded_and_comes_back(store, ledger, tmp_path):
    digest = put(store, pattern(100_000)).digest
    store.path(digest).rename(tmp_path / "away")
    assert store.present([digest]) == frozenset()
    assert ledger.find([digest])[digest].state is BlobState.MISSING
    (tmp_path / "away").rename(store.path(digest))
    assert store.present([digest]) == {digest}
    assert ledger.find([digest])[digest].state is BlobState.PRESENT


def test_what_is_or_was_here_is_known(store, ledger):
    here, gone, wrong, foreign = (put(store, pattern(1000, seed)).digest for seed in range(4))
    store.path(gone).unlink()
    unlock(store.path(wrong))
    store.path(wrong).write_bytes(b"longer or shorter")
    never = Digest.of(b"never")
    everything = (here, gone, wrong, foreign, never)
    assert store.known(everything) == {here, gone, wrong, foreign}
    with Store.open(store.root, FileLedger(store.root / "another.jsonl")) as moved:
        assert moved.known(everything) == {here, wrong, foreign}


def test_a_missing_file_is_recorded_by_verify(store, ledger):
    digest = put(store, b"data").digest
    store.path(digest).unlink()
    with pytest.raises(ArtifactNotFound, match=digest):
        store.verify([digest])
    assert ledger.find([digest])[digest].state is BlobState.MISSING


def test_a_file_of_another_size_is_hashed_and_set_aside(store, ledger):
    """Its record may be what is damaged: a look alone does not tell."""
    digest = put(store, b"data").digest
    (record,) = ledger.find([digest]).values()
    ledger.record([record.model_copy(update={"size": 5})])
    assert store.present([digest]) == {digest}
    assert store.verify([digest])[digest].size == 4
    unlock(store.path(digest))
    with store.path(digest).open("ab") as file:
        file.write(b"more")
    assert store.present([digest]) == {digest}
    with pytest.raises(IntegrityError):
        store.verify([digest])
    assert store.present([digest]) == frozenset()
    assert put(store, b"data").size == 4
    assert store.path(digest).read_bytes() == b"data"


def test_a_restored_file_is_hashed_and_believed(store, ledger):
    digest = put(store, b"data").digest
    flip(store.path(digest), 0)
    with pytest.raises(IntegrityError):
        store.verify([digest])
    store.path(digest).write_bytes(b"data")
    assert store.verify([digest])[digest].state is BlobState.PRESENT
    assert store.present([digest]) == {digest}


@pytest.mark.parametrize("planted", ["link", "folder", "pipe"])
def test_what_is_no_file_is_set_aside(store, tmp_path, planted):
    data = pattern(100_000)
    digest = put(store, data).digest
    store.path(digest).unlink()
    (tmp_path / "secret").write_bytes(data)
    if planted == "link":
        store.path(digest).symlink_to(tmp_path / "secret")
    elif planted == "folder":
        store.path(digest).mkdir()
    else:
        os.mkfifo(store.path(digest))
    with pytest.raises(IntegrityError, match="no regular file"):
        store.verify([digest])
    put(store, data)
    assert store.path(digest).read_bytes() == data
    assert (tmp_path / "secret").read_bytes() == data


def test_a_link_planted_in_place_of_a_shard_is_not_written_through(store, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    data = pattern(100_000)
    digest = Digest.of(data)
    (store.root / "blobs" / "sha256" / digest[:2]).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailable, match="symbolic link"):
        put(store, data)
    assert names(tmp_path / "elsewhere") == []


def test_a_tmp_folder_that_is_replaced_by_a_link_is_not_followed(store, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (store.root / "tmp").rename(store.root / "old")
    (store.root / "tmp").symlink_to(tmp_path / "elsewhere")
    digest = put(store, pattern(100_000)).digest
    assert store.path(digest).stat().st_size == 100_000
    assert names(tmp_path / "elsewhere") == []


def test_a_link_planted_under_a_temp_s_name_is_not_followed(store, tmp_path, monkeypatch):
    (tmp_path / "precious").write_text("mine")
    monkeypatch.setattr("modelhub.store.publishing.unique", lambda _label: "guessed")
    (store.root / "tmp" / "guessed").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreUnavailable):
        put(store, b"data")
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_dead_writers_left_is_swept(tmp_path, ledger, store):
    tmp = store.root / "tmp"
    (tmp_path / "precious").write_text("mine")
    (tmp / "put.dead").write_bytes(b"half")
    (tmp / "put.young").write_bytes(b"half")
    (tmp / "planted").symlink_to(tmp_path / "precious")
    old = os.lstat(tmp / "put.dead").st_mtime - 90_000
    os.utime(tmp / "put.dead", (old, old))
    os.utime(tmp / "planted", (old, old), follow_symlinks=False)
    with Store.open(store.root, ledger):
        assert names(tmp) == ["put.young"]
    assert (tmp_path / "precious").read_text() == "mine"

    class Sweeping(Dribble):
        def readinto(self, buffer, /):
            swept.append(store.sweep(older_than=-60))
            return super().readinto(buffer)

    swept = []
    put_data = pattern(300_000)
    store.put(Sweeping(put_data), expect=promise(put_data))
    assert sum(swept) == 1, "a living writer's file stays"
    assert names(tmp) == []


def test_no_snapshot_keeps_the_wrong_bytes(store, caplog):
    data, other = pattern(100_000), pattern(100_000, 1)
    wrong, right = put(store, data).digest, put(store, other).digest
    files = {RepoPath("deep/er/model.gguf"): wrong, RepoPath("other.gguf"): right}
    folders = [store.link("v", name, COMMIT, files).path for name in ("a", "b", "c")]
    (folders[2] / "second.gguf").hardlink_to(folders[2] / "deep/er/model.gguf")
    flip(folders[1] / "deep/er/model.gguf")
    with pytest.raises(IntegrityError):
        store.verify([wrong])
    assert [names(folder / "deep/er") for folder in folders] == [[], [], []]
    assert [names(folder) for folder in folders] == [["deep", "other.gguf"]] * 3
    removed = [log for log in caplog.records if log.message == "snapshot_file_removed"]
    assert len(removed) == 4
    assert all((store.root / log.file_path).parent.is_dir() for log in removed)
    put(store, data)
    for name, folder in zip("abc", folders, strict=True):
        store.link("v", name, COMMIT, files)
        assert (folder / "deep/er/model.gguf").read_bytes() == data
        assert (folder / "other.gguf").read_bytes() == other


def test_looking_for_the_wrong_bytes_follows_no_link(store, tmp_path):
    digest = put(store, pattern(100_000)).digest
    folder = store.link("v", "a", COMMIT, {RepoPath("model.gguf"): digest}).path
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mine.gguf").hardlink_to(store.path(digest))
    (folder.parent / "planted").symlink_to(tmp_path / "elsewhere")
    flip(store.path(digest))
    with pytest.raises(IntegrityError):
        store.verify([digest])
    assert names(folder) == []
    assert names(tmp_path / "elsewhere") == ["mine.gguf"]


def test_snapshots_are_not_searched_for_a_blob_with_one_name(store, spy):
    digest = put(store, pattern(100_000)).digest
    flip(store.path(digest))
    spy.counts.clear()
    with pytest.raises(IntegrityError):
        store.verify([digest])
    assert spy.counts["listdir"] == 0


def test_a_system_without_posix_locks_is_told_so():
    script = "import sys; sys.modules['fcntl'] = None; import modelhub.store"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "StoreUnavailable: modelhub's store needs a POSIX system" in done.stderr


def test_a_ledger_that_lost_bits_costs_at_most_a_reading(tmp_path, rounds):
    """Nothing is missing then, and nothing put aside."""
    path = tmp_path / "ledger.jsonl"
    with Store.open(tmp_path / "store", FileLedger(path)) as store:
        digests = [put(store, pattern(1000, seed)).digest for seed in range(3)]
    whole = path.read_bytes()
    dice = random.Random(7)
    for _ in range(rounds(20, 500)):
        spoilt = bytearray(whole)
        spoilt[dice.randrange(len(spoilt))] ^= 1 << dice.randrange(8)
        path.write_bytes(spoilt)
        ledger = FileLedger(path)
        with Store.open(tmp_path / "store", ledger) as store:
            assert store.present(digests) == set(digests)
            assert {one.size for one in store.verify(digests).values()} == {1000}
            assert names(store.root / "quarantine") == []
        ledger.close()
