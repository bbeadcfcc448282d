"""Every file operation fails once, each in its turn."""

import errno
import os
import tempfile
import threading
from pathlib import Path

import pytest

from modelhub.errors import StoreError, StoreFull
from modelhub.refs import Digest, RepoPath
from modelhub.store import FileLedger, Store
from modelhub.store.fsops import FsOps
from modelhub.store.testing import COMMIT, pattern, put

from .hands import flip, names
from .test_crash import sha256

FILES = {
    RepoPath("config.json"): b"{}",
    RepoPath("model.gguf"): pattern(100_000),
    RepoPath("onnx/model.onnx"): pattern(70_000, 1),
}
OPERATIONS = [
    name for name in vars(FsOps) if not name.startswith("_") and name not in ("close", "writable")
]


class Faulty(FsOps):
    """The real operations, of which the n-th fails."""

    def __init__(self, fail_at, code):
        self.left = fail_at
        self.code = code
        self.failed = None
        self.lock = threading.Lock()  # a part has several threads

    def __getattribute__(self, name):
        if name in OPERATIONS:
            with self.lock:
                self.left -= 1
                mine = self.left == 0
            if mine:
                self.failed = name

                def fail(*_args, **_fds):
                    raise OSError(self.code, os.strerror(self.code))

                return fail
        return super().__getattribute__(name)


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


def audit(root):
    for parent, _, here in os.walk(root / "blobs"):
        for name in here:
            assert sha256(os.path.join(parent, name)) == name  # noqa: PTH118
    assert not (root / "quarantine").exists() or names(root / "quarantine") == []
    snapshot = root / "snapshots" / "v" / "n" / COMMIT
    for path, data in FILES.items():
        place = snapshot / path
        # The test itself edits this one.
        assert not place.exists() or place.read_bytes() == data or path == "config.json"


def refusal(root, ledger, ops):
    """What `work` is refused with, if it is."""
    try:
        work(root, ledger, ops)
    except StoreError as error:
        return error
    return None


def open_files():
    """How many files this process has open; 0 where the system does not tell."""
    told = Path("/proc/self/fd")
    return len(names(told)) if told.exists() else 0


@pytest.fixture
def folder(tmp_path):
    """A folder in memory where there is one: nothing here is about power cuts, and fsync is slow."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)


@pytest.mark.parametrize(
    "code", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EPERM, errno.EROFS, errno.EINTR]
)
def test_one_operation_fails(folder, code, tally):
    descriptors = open_files()
    failed, survived, n = set(), 0, 0
    while True:
        n += 1
        root = folder / str(n)
        ledger, ops = FileLedger(folder / f"{n}.jsonl"), Faulty(n, code)
        error = refusal(root, ledger, ops)
        survived += error is None
        if error:
            assert isinstance(error, StoreFull) == (code == errno.ENOSPC)
            assert str(root) in str(error)
            assert error.hint
        audit(root)
        if ops.failed is None:
            break
        failed.add(ops.failed)
        work(root, ledger, FsOps())
        audit(root)
        ledger.close()
        tally(rounds=1, injected=1, detected=error is not None, repaired=1)
        assert open_files() == descriptors, f"after {ops.failed}, call {n}"
    ledger.close()
    assert n > 100
    assert failed >= {"open", "pwrite", "fsync", "link", "rename", "lstat", "fstat", "pread", "futime"}
    assert survived >= 1
