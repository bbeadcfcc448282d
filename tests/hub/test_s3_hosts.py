"""Two hosts that fetch, purge and collect the same in one bucket, one of them killed; then an audit around them."""

import json
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from tests.store.remote.conftest import login, servers  # noqa: F401

from .conftest import MODEL
from .test_kill_loop import AT_ONCE
from .test_purge import TWIN, twin
from .test_s3 import blobs, road

__all__ = ["road", "twin"]  # fixtures
SECONDS = 4


@pytest.fixture
def start(database_url, server, road, tmp_path):
    """A function that starts a host and waits until it is at work."""
    processes = []

    def started(name, seed, origins, seconds=SECONDS):
        given = [tmp_path / name, database_url, server.endpoint, road.uri, road.address, seed, seconds]
        given += [f"{repo}={folder}" for repo, folder in origins.items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.hub.sharer", *map(str, given)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        processes.append(process)
        first = process.stdout.readline()
        assert first == "ready\n", process.communicate()[1]
        return process

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def ended(process, seed):
    """What a host has done, by its own count."""
    out, told = process.communicate(timeout=120)
    assert process.returncode == 0, f"seed {seed}: {told[-3000:]}"
    return json.loads(out)


def wrong_objects(road):
    names = [key for key in road.listed() if key.startswith("blobs/")]
    return [name for name in names if sha256(road.get(name)).hexdigest() != name.rpartition("/")[2]]


def wrong_copies(home):
    found = [path for path in home.glob("**/blobs/sha256/*/*") if path.is_file()]
    assert found
    return [path for path in found if sha256(path.read_bytes()).hexdigest() != path.name]


@pytest.fixture
def full_counts(rounds):
    """By chance a round ends with what only the next pull repairs, so it is none of the quick tests."""
    if not rounds(0, 1):
        pytest.skip("two hosts race by chance: nox -s soak")


@pytest.mark.soak
@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_two_hosts_in_one_bucket_lose_nothing(
    full_counts,
    make_hub,
    database_url,
    server,
    road,
    twin,
    zoo_gguf,
    tmp_path,
    start,
    rounds,
    tally,
):
    origins = {MODEL: zoo_gguf, TWIN: tmp_path / "twin"}
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown by a failure
    for number in range(0, 2 * rounds(1, 20), 2):
        one = start("one", seed + number, origins, 600)  # until it is killed
        two = start("two", seed + number + 1, origins, 2 * SECONDS)
        time.sleep(random.Random(seed + number).uniform(0.5, 2))
        one.send_signal(signal.SIGKILL)
        assert one.wait(60) == -signal.SIGKILL
        again = start("one", seed + number, origins)
        counts = [ended(each, seed) for each in (again, two)]
        assert all(sum(each.values()) for each in counts)
        print(counts)  # noqa: T201
        tally(rounds=sum(sum(each.values()) for each in counts), injected=1)
        homes = [tmp_path / name for name in ("one", "two")]
        hubs = [
            make_hub(home=home, database=database_url, store=road.uri, s3_endpoint=road.address)
            for home in homes
        ]
        for hub in hubs:
            audit(hub, road, origins, tally)
        tally(
            wrong=len(wrong_objects(road)) + sum(len(wrong_copies(home)) for home in homes), repaired=1
        )
        assert not [key for key in road.listed() if key.startswith("quarantine/")]


def audit(hub, road, origins, tally):
    """Everything that a repository needs is there after a pull of it, and is the origin's."""
    for repo, variant in ((MODEL, "q8_0"), (MODEL, "q4_0"), (TWIN, "q8_0")):
        pulled = hub.pull(f"{repo}:{variant}")
        for file in pulled.files:
            served = (pulled.path / file.path).read_bytes()
            wanted = (origins[repo] / file.path).read_bytes()
            tally(wrong=served != wanted, lost=file.sha256 not in blobs(road))
    for repo in origins:
        seen = hub.verify(repo)
        assert seen.ok, seen
    assert hub.store.gc(**AT_ONCE).missing == ()
