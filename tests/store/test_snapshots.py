"""Snapshot folders on real file systems."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhub.errors import IntegrityError, StoreUnavailable, UnsafePath
from modelhub.refs import Digest, RepoPath
from modelhub.store import FileLedger, Store
from modelhub.store.fsops import FsOps
from modelhub.store.testing import COMMIT, pattern, put

from .hands import flip, names, usage

FILES = {
    RepoPath("config.json"): b'{"model_type": "llama"}',
    RepoPath("model.gguf"): pattern(300_000),
    RepoPath("onnx/model.onnx"): pattern(70_000, 1),
    RepoPath("onnx/model.onnx_data"): pattern(100_000, 2),
}
DIGESTS = {path: Digest.of(data) for path, data in FILES.items()}


@pytest.fixture
def filled(store):
    for path, data in FILES.items():
        put(store, data, path)
    return store


def link(store, files=DIGESTS, vendor="Qwen", name="tiny"):
    return store.link(vendor, name, COMMIT, files)


def by_path(snapshot):
    return {str(file.path): file.link for file in snapshot.files}


def test_files_hang_together_with_blobs_by_kind(filled):
    snapshot = link(filled)
    assert snapshot.path == filled.root / "snapshots" / "Qwen" / "tiny" / COMMIT
    ways = by_path(snapshot)
    assert ways["config.json"] == "copy"
    assert ways["model.gguf"] == "hardlink"
    assert ways["onnx/model.onnx"] in ("reflink", "copy")
    assert ways["onnx/model.onnx_data"] in ("reflink", "copy")
    shared = os.lstat(snapshot.path / "model.gguf")
    assert shared.st_ino == os.lstat(filled.path(DIGESTS[RepoPath("model.gguf")])).st_ino
    for path in ("config.json", "onnx/model.onnx", "onnx/model.onnx_data"):
        assert os.lstat(snapshot.path / path).st_nlink == 1
        assert os.lstat(snapshot.path / path).st_mode & 0o200


def test_a_second_repository_stores_nothing_twice(filled):
    link(filled)
    before = usage(filled.root)
    put(filled, FILES[RepoPath("model.gguf")], "weights.gguf")
    other = link(filled, {RepoPath("weights.gguf"): DIGESTS[RepoPath("model.gguf")]}, "", "copycat")
    assert usage(filled.root) == before
    assert (
        os.lstat(other.path / "weights.gguf").st_ino
        == os.lstat(filled.root / "snapshots" / "Qwen" / "tiny" / COMMIT / "model.gguf").st_ino
    )


def test_the_second_time_nothing_is_written_and_only_copies_are_read(filled, spy):
    link(filled)
    before = spy.counts.copy()
    link(filled)
    used = spy.counts - before
    assert not used.keys() & {
        "pwrite",
        "link",
        "rename",
        "symlink",
        "reflink",
        "fsync",
        "mkdir",
        "try_lock",
    }
    assert used["pread"] == 2, "the small copy: its bytes and its end"


def test_linking_leaves_the_proofs_intact(filled, spy):
    link(filled)
    before = spy.counts["pread"]
    filled.verify(DIGESTS.values())
    assert spy.counts["pread"] == before


def test_a_large_copy_is_hashed_once_a_process(filled, spy, tmp_path):
    link(filled)
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    with Store.open(filled.root, ledger, ops=spy) as fresh:
        for first in (True, False):
            before = spy.counts["pread"]
            link(fresh, {path: DIGESTS[path] for path in FILES if path.suffix == ".onnx_data"})
            assert (spy.counts["pread"] > before) is first
    ledger.close()


@pytest.mark.parametrize("path", list(FILES))
@pytest.mark.parametrize("wrong", ["edited", "other size", "link", "dangling", "hard link", "pipe"])
def test_what_is_wrong_is_replaced(filled, tmp_path, path, wrong):
    place = link(filled).path / path
    (tmp_path / "precious").write_bytes(b"mine" * 5)
    place.unlink()
    if wrong == "edited":
        place.write_bytes(bytes(len(FILES[path])))
    elif wrong == "other size":
        place.write_bytes(FILES[path] + b"!")
    elif wrong == "link":
        place.symlink_to(tmp_path / "precious")
    elif wrong == "dangling":
        place.symlink_to(tmp_path / "not there")
    elif wrong == "hard link":
        os.link(tmp_path / "precious", place)
    else:
        os.mkfifo(place)
    again = link(filled)
    assert place.read_bytes() == FILES[path]
    assert not place.is_symlink()
    assert (tmp_path / "precious").read_bytes() == b"mine" * 5
    assert not (tmp_path / "not there").exists()
    assert names(filled.root / "tmp") == []
    assert by_path(link(filled)) == by_path(again)


def test_a_hard_link_where_a_copy_should_be_is_replaced(filled):
    snapshot = link(filled)
    for path in ("config.json", "onnx/model.onnx_data"):
        (snapshot.path / path).unlink()
        os.link(filled.path(DIGESTS[RepoPath(path)]), snapshot.path / path)
    link(filled)
    for path in ("config.json", "onnx/model.onnx_data"):
        assert os.lstat(snapshot.path / path).st_nlink == 1


def test_editing_a_configuration_never_reaches_the_blob(filled):
    snapshot = link(filled)
    (snapshot.path / "config.json").write_text("edited")
    (snapshot.path / "onnx/model.onnx_data").write_text("edited")
    filled.verify(DIGESTS.values(), "full")


def test_writing_through_a_shared_file_is_noticed_and_repaired(filled):
    path = RepoPath("model.gguf")
    snapshot = link(filled)
    flip(snapshot.path / path)
    with pytest.raises(IntegrityError):
        link(filled)
    assert not filled.present([DIGESTS[path]])
    put(filled, FILES[path])
    link(filled)
    assert (snapshot.path / path).read_bytes() == FILES[path]


def test_a_deleted_snapshot_is_built_again(filled):
    snapshot = link(filled)
    shutil.rmtree(filled.root / "snapshots" / "Qwen")
    link(filled)
    for path, data in FILES.items():
        assert (snapshot.path / path).read_bytes() == data


def test_other_files_in_the_folder_stay(filled):
    snapshot = link(filled)
    (snapshot.path / "notes.txt").write_text("mine")
    link(filled)
    assert (snapshot.path / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "part", ["Qwen", "Qwen/tiny", f"Qwen/tiny/{COMMIT}", f"Qwen/tiny/{COMMIT}/onnx"]
)
@pytest.mark.parametrize("planted", ["link", "file"])
def test_a_planted_link_is_not_followed(filled, tmp_path, part, planted):
    (tmp_path / "elsewhere").mkdir()
    place = filled.root / "snapshots" / part
    place.parent.mkdir(parents=True, exist_ok=True)
    if planted == "link":
        place.symlink_to(tmp_path / "elsewhere")
    else:
        place.write_text("in the way")
    with pytest.raises(StoreUnavailable, match=f"snapshots/{part} is a file or a symbolic link"):
        link(filled)
    assert names(tmp_path / "elsewhere") == []


def test_a_folder_in_the_place_of_a_file_is_refused(filled):
    place = filled.root / "snapshots" / "Qwen" / "tiny" / COMMIT / "config.json"
    place.mkdir(parents=True)
    with pytest.raises(StoreUnavailable, match=r"config\.json"):
        link(filled)
    assert place.is_dir()


def test_names_that_collide_are_refused(filled):
    digest = DIGESTS[RepoPath("config.json")]
    for other in ("Config.json", "config.json/inner"):
        with pytest.raises(UnsafePath, match="collide"):
            link(filled, {RepoPath("config.json"): digest, RepoPath(other): digest})
    assert names(filled.root / "snapshots") == []


class Spoilt(FsOps):
    """Reads wrong bytes while `on`, as a disk does; times stay."""

    on = False

    def pread(self, fd, buffer, offset):
        count = super().pread(fd, buffer, offset)
        if self.on and count:
            buffer[0] ^= 1
        return count


def test_a_copy_is_hashed_whatever_the_proof_says(tmp_path, ledger):
    ops = Spoilt()
    with Store.open(tmp_path / "s", ledger, ops=ops) as store:
        digest = put(store, b"{}").digest
        ops.on = True
        with pytest.raises(IntegrityError):
            link(store, {RepoPath("config.json"): digest})
    place = tmp_path / "s" / "snapshots" / "Qwen" / "tiny" / COMMIT / "config.json"
    assert not place.exists()


class Reflinks(FsOps):
    """A file system that clones; the test's one does it by copying."""

    def reflink(self, source, target):
        os.pwrite(target, os.pread(source, 1 << 30, 0), 0)


def test_onnx_is_reflinked_where_that_works(tmp_path, ledger):
    with Store.open(tmp_path / "s", ledger, ops=Reflinks()) as store:
        for path, data in FILES.items():
            put(store, data, path)
        snapshot = link(store)
        assert by_path(snapshot)["onnx/model.onnx_data"] == "reflink"
        for path, data in FILES.items():
            assert (snapshot.path / path).read_bytes() == data
        link(store)


def test_snapshots_on_another_disk_are_linked_relatively(tmpfs, tmp_path, ledger):
    (tmp_path / "s").mkdir()
    tmpfs("s/snapshots", "4m")
    with Store.open(tmp_path / "s", ledger) as store:
        for path, data in FILES.items():
            put(store, data, path)
        for _ in range(2):
            snapshot = link(store)
            assert by_path(snapshot)["model.gguf"] == "symlink"
            for path, data in FILES.items():
                assert (snapshot.path / path).read_bytes() == data
        (snapshot.path / "model.gguf").unlink()
        (snapshot.path / "model.gguf").symlink_to("/etc/hostname")
        link(store)
        assert (snapshot.path / "model.gguf").read_bytes() == FILES[RepoPath("model.gguf")]
        assert names(tmp_path / "s" / "snapshots" / ".tmp") == []


def test_many_repositories_link_one_blob_at_once_without_hashing(filled, spy):
    path = RepoPath("model.gguf")
    before = spy.counts["pread"]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: link(filled, {path: DIGESTS[path]}, "v", f"repo{n}"), range(24)))
    assert {file.link for snapshot in made for file in snapshot.files} == {"hardlink"}
    assert os.lstat(filled.path(DIGESTS[path])).st_nlink == 25
    assert filled.verify([DIGESTS[path]])
    # Who loses a race looks again under the lock and finds the proof renewed.
    assert spy.counts["pread"] == before


def test_losing_a_race_for_a_link_leaves_nothing_in_tmp(tmp_path, ledger):
    """Another process makes the very link between our look and our making it."""

    class Late(FsOps):
        late = False

        def link(self, source, target, **fds):
            if self.late and target == "model.gguf":
                super().link(source, target, **fds)
            super().link(source, target, **fds)

    ops = Late()
    with Store.open(tmp_path / "s", ledger, ops=ops) as store:
        digest = put(store, FILES[RepoPath("model.gguf")]).digest
        ops.late = True
        snapshot = link(store, {RepoPath("model.gguf"): digest})
        assert by_path(snapshot) == {"model.gguf": "hardlink"}
        assert names(store.root / "tmp") == []
        assert store.path(digest).lstat().st_nlink == 2


def test_the_snapshot_is_a_path(filled):
    snapshot = link(filled)
    assert Path(snapshot) == snapshot.path
    assert [file.path for file in snapshot.files] == list(FILES)
    assert [file.size for file in snapshot.files] == [len(data) for data in FILES.values()]
