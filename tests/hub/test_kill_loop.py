"""A Hub that does everything and is killed at any moment, again and again; then an audit around the store."""

import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import text

from .conftest import MODEL
from .test_purge import TWIN, blobs, folders, store, twin

__all__ = ["twin"]  # a fixture

AT_ONCE = {"grace": 0, "orphans": 0, "parts": 0, "quarantine": 0}
PRESENT = "SELECT path FROM artifact_location WHERE state = 'present'"


def live(hub, database_url, server, seed, origins):
    """A life: until it is killed, which `seed` says when."""
    command = [sys.executable, "-m", "tests.hub.survivor", str(hub.settings.home), database_url]
    command += [server.endpoint, str(seed), *(f"{repo}={folder}" for repo, folder in origins.items())]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        ready = process.stdout.readline()
        time.sleep(random.Random(seed).uniform(0, 0.8) if ready else 0)
    finally:
        process.send_signal(signal.SIGKILL)
        _, told = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, f"seed {seed}: {told}"


def wrong(hub, origins):
    """What has other bytes than it should: blobs by their name, snapshots' files by their origin."""
    found = [
        path
        for path in (store(hub) / "blobs").rglob("*")
        if path.is_file() and sha256(path.read_bytes()).hexdigest() != path.name
    ]
    for repo, folder in origins.items():
        for commit in (store(hub) / "snapshots" / repo).glob("*"):
            files = [path for path in commit.rglob("*") if path.is_file()]
            found += [
                path
                for path in files
                if path.read_bytes() != (folder / path.relative_to(commit)).read_bytes()
            ]
    return found


def lost(hub):
    """What the database says is here and is not."""
    with hub._registry.read() as tx:
        paths = tx.session.scalars(text(PRESENT)).all()
    return [path for path in paths if not (store(hub) / path).is_file()]


def leases(hub):
    with hub._registry.read() as tx:
        return tx.session.scalar(text("SELECT count(*) FROM lease"))


def blocked(hub):
    """Jobs that have not ended and that the next who asks for the same cannot take over at once."""
    hub.jobs.reap()
    with hub._registry.read() as tx:
        return [job for job in tx.jobs.running() if not tx.jobs.is_idle(job.id)]


@pytest.mark.soak
def test_a_hub_that_is_killed_at_any_moment_loses_nothing(
    make_hub, database_url, server, twin, zoo_gguf, tmp_path, rounds, tally
):
    hub = make_hub(database=database_url)
    origins = {MODEL: zoo_gguf, TWIN: tmp_path / "twin"}
    seed = random.randrange(1 << 32)
    print("seed", seed)  # noqa: T201 - shown by a failure
    for number in range(rounds(20, 200)):
        live(hub, database_url, server, seed + number, origins)
        tally(rounds=1, injected=1, wrong=len(wrong(hub, origins)), lost=len(lost(hub)))
        assert not tally.counts["wrong"] + tally.counts["lost"], f"seed {seed}, life {number}"
    # Right bytes were never set aside, and nobody who is dead is in the way.
    assert not list((store(hub) / "quarantine").iterdir())
    for model, variant in ((MODEL, "q8_0"), (MODEL, "q4_0"), (TWIN, "q8_0")):
        hub.pull(f"{model}:{variant}")
        assert hub.verify(model).ok
    done = hub.store.gc(**AT_ONCE)
    assert done.missing == ()
    wanted = {file.sha256 for repo in origins for file in hub.files(repo) if file.sha256}
    assert blobs(hub) <= wanted
    assert lost(hub) == []
    assert wrong(hub, origins) == []
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    for repo in origins:
        hub.purge(repo)
    hub.store.gc(**AT_ONCE)
    assert (blobs(hub), folders(hub)) == (set(), [])
    assert not list((store(hub) / "tmp").iterdir())
    assert leases(hub) == 0
    assert blocked(hub) == []
    tally(repaired=tally.counts["injected"])
