"""Several processes on one store, and processes that are killed."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelhub.refs import Digest
from modelhub.store import FileLedger, Store
from modelhub.store.testing import pattern, put

from .hands import names, sha256
from .writer import blob_of

KNOWN = {Digest.of(blob_of(number)) for number in range(40)}


def start(root, ledger, seed, rounds=1000):
    args = [sys.executable, "-m", "tests.store.writer", str(root), str(ledger), str(seed), str(rounds)]
    return subprocess.Popen(args, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])


def audit(root):
    """Every visible name has its bytes; every snapshot's file is whole: how many of each."""
    blobs = files = 0
    for parent, _, files_here in os.walk(root / "blobs"):
        for name in files_here:
            assert sha256(Path(parent) / name) == name
            assert Path(parent).name == name[:2]
            blobs += 1
    for parent, _, files_here in os.walk(root / "snapshots"):
        for name in files_here:
            number = int(name.partition(".")[0])
            assert sha256(Path(parent) / name) == Digest.of(blob_of(number)), name
            files += 1
    return blobs, files


@pytest.mark.soak
def test_writers_that_are_killed_leave_nothing_wrong(tmp_path, rounds, tally):
    times = rounds(20, 200)
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    draw = random.Random(seed)
    root, ledger = tmp_path / "store", tmp_path / "ledger.jsonl"
    killed = 0
    for n in range(times):
        child = start(root, ledger, seed + n)
        try:
            assert child.stdout.readline() == b"ready\n"
            time.sleep(draw.uniform(0.0, 0.25))
        finally:
            killed += child.poll() is None
            child.kill()
            child.wait(30)
            child.stdout.close()
        blobs, files = audit(root)
    assert killed == times
    assert blobs > 0
    left = len(names(root / "tmp"))
    tally(rounds=times, injected=killed)
    sys.stdout.write(f"{killed} kills, {blobs} blobs, {files} snapshot files, {left} left in tmp\n")

    book = FileLedger(ledger)
    with Store.open(root, book) as store:
        assert len(store.verify(store.present(KNOWN), "full")) > 0
        assert names(root / "quarantine") == []
        store.sweep(older_than=-60)
        assert names(root / "tmp") == []
        for number in range(40):
            put(store, blob_of(number))
        assert store.present(KNOWN) == KNOWN
        assert audit(root)[0] == len(KNOWN)
    tally(repaired=killed)
    book.close()


RACER = """
import sys
from modelhub.store import FileLedger, Store
from modelhub.store.testing import Dribble, pattern, promise
data = pattern(3_000_000)
with Store.open(sys.argv[1], FileLedger(sys.argv[2])) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(3):
        store.put(Dribble(data, 40_000), expect=promise(data))
        store.verify([promise(data).sha256])
"""


def test_two_processes_race_for_one_digest(tmp_path):
    root, ledger = tmp_path / "store", tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", RACER, str(root), str(ledger)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    ]
    for child in children:
        assert child.stdout.readline() == b"ready\n"
    for child in children:
        child.stdin.write(b"go\n")
        child.stdin.flush()
    assert [child.wait(60) for child in children] == [0, 0]
    for child in children:
        child.stdin.close()
        child.stdout.close()
    digest = Digest.of(pattern(3_000_000))
    assert [name for _, _, files in os.walk(root / "blobs") for name in files] == [digest]
    assert sha256(root / "blobs" / "sha256" / digest[:2] / digest) == digest
    assert names(root / "tmp") == []
    assert names(root / "quarantine") == []


def test_processes_link_into_one_store_at_once(tmp_path):
    root, ledger = tmp_path / "store", tmp_path / "ledger.jsonl"
    children = [start(root, ledger, seed, rounds=8) for seed in (1, 2, 3)]
    assert [child.wait(120) for child in children] == [0, 0, 0]
    for child in children:
        child.stdout.close()
    assert audit(root)[1] > 0
    assert names(root / "tmp") == []
    assert names(root / "quarantine") == []
