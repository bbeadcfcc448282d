"""How much is read before bytes are used."""

import os

import pytest

from modelhub.errors import InvalidInput
from modelhub.refs import Digest, RepoPath
from modelhub.store.fsops import FsOps
from modelhub.store.testing import COMMIT, pattern, put
from tests.store.hands import flip

ONNX = RepoPath("model.onnx")


@pytest.fixture
def still(monkeypatch):
    """Files of which the disk loses bits and moves no time."""
    old = {}
    fstat, lstat = FsOps.fstat, FsOps.lstat

    def stop(path):
        look = os.lstat(path)
        old[look.st_ino] = look

    def seen(look):
        return old.get(look.st_ino, look)

    monkeypatch.setattr(FsOps, "fstat", lambda ops, fd: seen(fstat(ops, fd)))
    monkeypatch.setattr(
        FsOps, "lstat", lambda ops, name, *, dir_fd=None: seen(lstat(ops, name, dir_fd=dir_fd))
    )
    return stop


def test_a_copy_in_a_snapshot_is_read_at_full_only(store, still):
    data = pattern(100_000)
    digest = put(store, data).digest

    def link(level):
        return store.link("v", "n", COMMIT, {ONNX: digest}, level=level)

    copy = link("proof").path / ONNX
    still(copy)
    flip(copy)
    for level in ("proof", "off"):
        link(level)
        assert copy.read_bytes() != data
    assert link("full").files[0].link in ("copy", "reflink")
    assert copy.read_bytes() == data


def test_off_believes_what_has_no_proof(store, spy):
    digest = put(store, pattern(100_000)).digest
    os.utime(store.path(digest))
    spy.counts.clear()
    store.link("v", "n", COMMIT, {RepoPath("a.gguf"): digest}, level="off")
    assert spy.counts["pread"] == 0
    store.link("v", "n", COMMIT, {RepoPath("a.gguf"): digest})
    assert spy.counts["pread"] > 0


def test_what_is_no_level_is_refused_before_anything(store):
    with pytest.raises(InvalidInput, match="proof, full, off"):
        store.link("v", "n", COMMIT, {ONNX: Digest.of(b"")}, level="some")
