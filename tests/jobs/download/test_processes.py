"""Downloads in processes that are killed, and of hosts that share a store."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.sources.origin import origin, ranged

from .conftest import SHORTEST, content

SIZE = 8_000_000
DATA = content(SIZE)
SHA = hashlib.sha256(DATA).hexdigest()
CONNECTIONS = 3
LOST = (CONNECTIONS + 3) * SHORTEST
"""Bytes that a kill may cost: the ranges under way, and what was written since the last checkpoint began."""


class Paced:
    """A server's answers, none of them at once, and after the first `free` none before `go` is set.

    `served` counts the bytes of all.
    """

    def __init__(self, seconds=0.0, free=1 << 30):
        self.seconds = seconds
        self.free = free
        self.served = 0
        self.go = threading.Event()
        self.asked = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, seen):
        self.asked.set()
        time.sleep(self.seconds)
        reply = ranged(seen, DATA)
        with self._lock:
            self.free -= 1
            held = self.free < 0
        if held:
            assert self.go.wait(60)
        with self._lock:
            self.served += len(reply.body)
        return reply


def start(server, folder, **more):
    order = {"url": server.url, "store": str(folder), "size": SIZE, "sha256": SHA, **more}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.download.puller", json.dumps(order)],
        cwd=Path(__file__).resolve().parents[3],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "0"},
    )


def moved(process):
    *_, last = process.stdout.read().split("\n")[:-1]
    process.stdout.close()
    assert process.wait(60) == 0
    return int(last.removeprefix("moved "))


def blob(folder):
    return folder / "blobs" / "sha256" / SHA[:2] / SHA


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    process.stdout.close()


def test_kills_at_random_moments_cost_only_what_was_not_durable(tmp_path, rounds, tally):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    draw, folder, answers = random.Random(seed), tmp_path / "store", Paced(0.1)
    kills = done = 0
    with origin(answers) as server:
        for _ in range(rounds(20, 200)):
            answers.asked.clear()
            process = start(server, folder)
            assert answers.asked.wait(60)
            time.sleep(draw.uniform(0, 0.5))
            if process.poll() is None:
                kill(process)
                kills += 1
            else:
                process.stdout.close()
            if blob(folder).exists():
                assert hashlib.sha256(blob(folder).read_bytes()).hexdigest() == SHA
                blob(folder).unlink()
                done += 1
        left = moved(start(server, folder))
    assert hashlib.sha256(blob(folder).read_bytes()).hexdigest() == SHA
    print(f"{kills} kills, {done + 1} times whole, {answers.served} bytes served, {left} at last")  # noqa: T201
    assert kills
    assert answers.served <= (done + 1) * SIZE + kills * LOST
    assert not list(folder.glob("quarantine/*"))
    assert not list(folder.glob("tmp/*.part"))
    tally(rounds=kills + done + 1, injected=kills, repaired=kills)


def test_two_hosts_fetch_a_file_once(tmp_path, database_url):
    folder, answers = tmp_path / "store", Paced(free=6)
    with origin(answers) as server:
        first = start(server, folder, database=database_url, host="first")
        assert answers.asked.wait(60)
        second = start(server, folder, database=database_url, host="second")
        assert "waiting for first" in second.stdout.readline()
        answers.go.set()
        assert moved(first) == SIZE
        assert moved(second) == 0
    assert answers.served == SIZE


@pytest.mark.parametrize("host", ["second", "first"])
def test_who_waits_takes_over_from_the_dead(tmp_path, database_url, host, tally):
    # A claim of the same host is seen to be dead; one of another host runs out.
    free = 12
    folder, answers = tmp_path / "store", Paced(free=free)
    with origin(answers) as server:
        first = start(server, folder, database=database_url, host="first")
        assert answers.asked.wait(60)
        second = start(server, folder, database=database_url, host=host)
        assert "waiting for first" in second.stdout.readline()
        while answers.served < free * SHORTEST:
            time.sleep(0.01)
        time.sleep(0.5)  # for what was written to become durable
        kill(first)
        answers.go.set()
        again = moved(second)
    assert SIZE - free * SHORTEST <= again < SIZE, "it goes on with what the first one left"
    assert answers.served <= free * SHORTEST + CONNECTIONS * SHORTEST + again
    assert hashlib.sha256(blob(folder).read_bytes()).hexdigest() == SHA
    tally(rounds=1, injected=1, detected=1, repaired=1)
