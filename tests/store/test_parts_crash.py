"""Processes that are killed while they receive a blob, and others that go on with it."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelhub.store import FileLedger, Store
from modelhub.store.blocks import BlockTable

from .hands import names, sha256
from .receiver import BLOCK, GRAIN, blob_of, here, promise_of, receive


def start(module, *args):
    command = [sys.executable, "-m", f"tests.store.{module}", *map(str, args)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True
    )


def end(child):
    """Kill it: what it has written."""
    child.kill()
    out, _ = child.communicate(timeout=30)
    return out


def audit(root):
    for parent, _, here_ in os.walk(root / "blobs"):
        for name in here_:
            assert sha256(Path(parent) / name) == name
    for parent, _, here_ in os.walk(root / "blocks"):
        for name in here_:
            assert BlockTable.decode((Path(parent) / name).read_bytes()).digest == name


@pytest.mark.soak
def test_receivers_that_are_killed_leave_nothing_wrong(tmp_path, rounds, tally):
    times = rounds(20, 200)
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    draw = random.Random(seed)
    root, ledger = tmp_path / "store", tmp_path / "ledger.jsonl"
    resumed = []
    for n in range(times):
        children = [start("receiver", root, ledger, seed + n) for _ in range(draw.choice([1, 1, 2]))]
        try:
            for child in children:
                assert child.stdout.readline() == "ready\n"
            time.sleep(draw.uniform(0.0, 0.3))
            assert all(child.poll() is None for child in children)
        finally:
            outputs = [end(child) for child in children]
        resumed += [int(line) for out in outputs for line in out.split() if line.isdigit()]
        tally(rounds=1, injected=len(children))
        audit(root)
    sys.stdout.write(f"{times} rounds, {len(resumed)} parts gone on with, {sum(resumed)} bytes kept\n")
    assert resumed

    book = FileLedger(ledger)
    with Store.open(root, book) as store:
        store._parts.grain = GRAIN
        for number in range(8):
            receive(store, number, draw, 0)
        digests = [promise_of(number).sha256 for number in range(8)]
        assert set(store.verify(digests, "full")) == set(digests)
        assert names(root / "quarantine") == []
        store.sweep(older_than=-60)
        assert names(root / "tmp") == []
    book.close()
    audit(root)
    tally(repaired=tally.counts["injected"])


HOLDER = """
import sys
from modelhub.store import FileLedger, Store
from tests.store.receiver import BLOCK, GRAIN, blob_of, promise_of
with Store.open(sys.argv[1], FileLedger(sys.argv[2])) as store:
    store._parts.grain = GRAIN
    with store.receive(promise_of(0)) as part:
        part.write(0, memoryview(blob_of(0))[: 10 * BLOCK])
        print("ready", flush=True)
        sys.stdin.readline()
        if sys.argv[3] == "finish":
            part.write(10 * BLOCK, memoryview(blob_of(0))[10 * BLOCK :])
            part.finish(lambda: None)
"""


@pytest.mark.parametrize("fate", ["killed", "leave", "finish"])
def test_who_waits_for_another_process_takes_over_at_once(tmp_path, fate):
    root, ledger = tmp_path / "store", tmp_path / "ledger.jsonl"
    command = [sys.executable, "-c", HOLDER, str(root), str(ledger), fate]
    folder = Path(__file__).parents[2]
    first = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, text=True
    )
    assert first.stdout.readline() == "ready\n"
    asked = []

    def check():
        if not asked:
            asked.append(True)
            if fate == "killed":
                first.kill()
            else:
                first.stdin.write("\n")
                first.stdin.flush()

    book = FileLedger(ledger)
    data = blob_of(0)
    try:
        with Store.open(root, book) as store:
            store._parts.grain = GRAIN
            # What is durable is written down beside the writer, at its own time.
            deadline = time.monotonic() + 30
            while not store.parts()[0].present and time.monotonic() < deadline:
                time.sleep(0.01)
            with store.receive(promise_of(0), check=check) as part:
                assert asked
                if fate == "finish":
                    assert part.record is not None
                else:
                    assert 2 * BLOCK <= here(part, data) <= 10 * BLOCK
                    for start_, end_ in part.missing:
                        part.write(start_, memoryview(data)[start_:end_])
                    part.finish(lambda: None)
            assert store.path(promise_of(0).sha256).read_bytes() == data
    finally:
        first.communicate(timeout=30)
        book.close()
    assert names(root / "tmp") == []
