"""Every file operation fails once, each in its turn."""

import errno
import os

import pytest

from modelhub.refs import Digest, RepoPath
from modelhub.store import Store
from modelhub.store.testing import COMMIT, pattern, put

from .faulty import each_fails_once
from .hands import flip, names, sha256

FILES = {
    RepoPath("config.json"): b"{}",
    RepoPath("model.gguf"): pattern(100_000),
    RepoPath("onnx/model.onnx"): pattern(70_000, 1),
}


def work(root, ledger, ops):
    """A bit of everything that a store does."""
    with Store.open(root, ledger, ops=ops) as store:
        for path, data in FILES.items():
            put(store, data, path)
        digests = {path: Digest.of(data) for path, data in FILES.items()}
        snapshot = store.link("v", "n", COMMIT, digests)
        flip(snapshot.path / "config.json")
        store.link("v", "n", COMMIT, digests)
        store.path(digests[RepoPath("config.json")]).touch()
        put(store, FILES[RepoPath("config.json")])
        assert store.read(digests[RepoPath("config.json")], 10) == b"{}"
        store.verify(digests.values(), "full")
        assert store.remove_snapshot(f"snapshots/v/n/{COMMIT}")
        assert store.remove(digests[RepoPath("onnx/model.onnx")], lambda: True)
        store.sweep(older_than=-60)


def audit(root, *, whole):
    del whole  # it holds at any time
    for parent, _, here in os.walk(root / "blobs"):
        for name in here:
            assert sha256(os.path.join(parent, name)) == name  # noqa: PTH118
    assert not (root / "quarantine").exists() or names(root / "quarantine") == []
    snapshot = root / "snapshots" / "v" / "n" / COMMIT
    for path, data in FILES.items():
        place = snapshot / path
        # The test itself edits this one.
        assert not place.exists() or place.read_bytes() == data or path == "config.json"


@pytest.mark.parametrize(
    "code", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EINTR]
)
def test_one_operation_fails(folder, code, tally):
    failed, _, survived = each_fails_once(folder, code, work, audit, tally)
    assert failed >= {"open", "pwrite", "fsync", "link", "rename", "lstat", "fstat", "pread", "futime"}
    assert survived >= 1
