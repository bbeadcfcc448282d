"""File operations of which one fails, and a harness that lets each fail in its turn."""

import errno
import itertools
import os
import threading
from pathlib import Path

from modelhub.errors import StoreError, StoreFull
from modelhub.store import FileLedger
from modelhub.store.fsops import FsOps

from .hands import names

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


def each_fails_once(folder, code, work, audit, tally):
    """Do `work(root, ledger, ops)` with the first operation failing, then the second, until none is left.

    Each time `audit(root, whole)` looks at what is there, and again, with `whole`, once the work was done without
    a fault. Which operations failed, how many works were refused for it, and how many got over it.
    """
    descriptors, failed, refused = open_files(), set(), 0
    for n in itertools.count(1):
        root = folder / str(n)
        ledger, ops = FileLedger(folder / f"{n}.jsonl"), Faulty(n, code)
        error = _refusal(work, root, ledger, ops)
        if error:
            assert isinstance(error, StoreFull) == (code == errno.ENOSPC)
            assert str(root) in str(error)
            assert error.hint
        audit(root, whole=False)
        if ops.failed is None:
            break
        refused += error is not None
        failed.add(ops.failed)
        work(root, ledger, FsOps())
        audit(root, whole=True)
        ledger.close()
        tally(rounds=1, injected=1, detected=error is not None, repaired=1)
        assert open_files() == descriptors, f"after {ops.failed}, call {n}"
    ledger.close()
    assert error is None
    assert n > 100
    return failed, refused, n - 1 - refused


def _refusal(work, root, ledger, ops):
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
