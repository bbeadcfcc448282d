"""What a file system can do is found out once, and the links are made accordingly."""

import errno
import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from modelhub.errors import StoreUnavailable
from modelhub.refs import RepoPath
from modelhub.store import FileLedger, Store
from modelhub.store.testing import COMMIT, pattern, put
from tests.store.hands import names

FILE, ONNX = RepoPath("model.gguf"), RepoPath("model.onnx")


def ways(store):
    digest = put(store, pattern(200_000)).digest
    linked = store.link("v", "n", COMMIT, {FILE: digest, ONNX: digest})
    for file in (FILE, ONNX):
        assert (linked.path / file).read_bytes() == pattern(200_000)
    return [file.link for file in linked.files]


def refuse(spy, monkeypatch, *calls):
    def failing(*_given, **_named):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    for name in calls:
        monkeypatch.setattr(type(spy), name, failing)


def test_it_is_tried_once_and_leaves_nothing(store, spy):
    can = store.capabilities
    assert (can.hardlink, can.symlink, can.locks) == (True, True, True)
    assert str(can).startswith("hardlink, symlink")
    assert names(store.root / "tmp") == []
    spy.counts.clear()
    assert store.capabilities is can
    assert not spy.counts
    assert ways(store) == ["hardlink", "reflink" if can.reflink else "copy"]
    assert spy.counts["reflink"] == int(can.reflink)


@pytest.mark.parametrize(
    ("lacking", "way"),
    [(("link",), "symlink"), (("link", "symlink"), "copy"), (("symlink",), "hardlink")],
)
def test_what_it_cannot_is_not_tried_for_each_file(store, spy, monkeypatch, lacking, way):
    refuse(spy, monkeypatch, "reflink", *lacking)
    assert ways(store) == [way, "copy"]
    assert not any(getattr(store.capabilities, {"link": "hardlink"}.get(name, name)) for name in lacking)
    assert "; no " in str(store.capabilities)
    assert names(store.root / "tmp") == []


def test_another_error_is_told(store, spy, monkeypatch):
    def broken(*_given, **_named):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(type(spy), "symlink", broken)
    with pytest.raises(StoreUnavailable, match="Input/output error"):
        ways(store)
    assert names(store.root / "tmp") == []


@contextmanager
def mounted(kind, tmp_path):
    """A file system of this kind in a file; only root may mount it."""
    image, place = tmp_path / "image", tmp_path / "disk"
    make = {"xfs": ["mkfs.xfs", "-q"], "btrfs": ["mkfs.btrfs", "-q"], "ext4": ["mkfs.ext4", "-q"]}[kind]
    if os.geteuid() != 0 or not shutil.which(make[0]):
        pytest.skip(f"no loop-mounted file systems here: {kind} needs root and {make[0]}")
    with image.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run([*make, image], check=True, capture_output=True)
    place.mkdir()
    done = subprocess.run(["mount", "-o", "loop", image, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no loop-mounted file systems here: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.parametrize(("kind", "shares"), [("xfs", True), ("btrfs", True), ("ext4", False)])
def test_real_file_systems(kind, shares, tmp_path):
    with mounted(kind, tmp_path) as place:
        ledger = FileLedger(tmp_path / "ledger.jsonl")
        with Store.open(place / "store", ledger) as store:
            can = store.capabilities
            assert (can.hardlink, can.symlink, can.reflink, can.locks) == (True, True, shares, True)
            assert ways(store) == ["hardlink", "reflink" if shares else "copy"]
        ledger.close()


def test_a_file_system_in_memory(tmpfs, tmp_path):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    with Store.open(tmpfs("memory", "16m") / "store", ledger) as store:
        assert not store.capabilities.reflink
        assert ways(store) == ["hardlink", "copy"]
    ledger.close()


def test_snapshots_on_another_disk(tmpfs, tmp_path):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    (tmp_path / "store").mkdir()
    tmpfs("store/snapshots", "16m")
    with Store.open(tmp_path / "store", ledger) as store:
        assert not store.capabilities.hardlink
        assert ways(store) == ["symlink", "copy"]
    ledger.close()
