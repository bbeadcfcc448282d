"""Stores on real folders, and a spy that counts what reaches the system."""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from modelhub.store import FileLedger, Store
from modelhub.store.fsops import FsOps


class Spy(FsOps):
    """The real operations, counted by name."""

    def __init__(self):
        self.counts = Counter()

    def __getattribute__(self, name):
        if name not in ("counts", "__class__") and hasattr(FsOps, name) and not name.startswith("_"):
            self.counts[name] += 1
        return super().__getattribute__(name)


@pytest.fixture
def spy():
    return Spy()


@pytest.fixture
def ledger(tmp_path):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    yield ledger
    ledger.close()


@pytest.fixture
def store(tmp_path, ledger, spy):
    with Store.open(tmp_path / "store", ledger, ops=spy) as store:
        yield store


@pytest.fixture
def folder(tmp_path):
    """A folder in memory where there is one, for what is not about power cuts: fsync is slow."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as made:
        yield Path(made)


@pytest.fixture
def tmpfs(tmp_path):
    """A function that mounts a file system in memory of so many bytes; only root may."""
    import subprocess

    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    mounted = []

    def mount(name, size, *options):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        wanted = ",".join([f"size={size}", *options])
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", wanted, "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        )
        if done.returncode:
            pytest.skip(f"tmpfs cannot be mounted here: {done.stderr.decode().strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in reversed(mounted):
        subprocess.run(["umount", "-l", str(folder)], check=True)
