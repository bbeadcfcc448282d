"""Workers that are killed at any moment: every job ends once, and nothing is done twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from modelhub.facts import JobStatus
from modelhub.registry import Registry
from tests.jobs.killed_worker import STEPS, made

WORKERS = 3
PATIENCE = 120

ON_SQLITE = (
    "CREATE TABLE effect (job INTEGER, step INTEGER, owner TEXT)",
    "CREATE TABLE ended (job INTEGER, before TEXT, after TEXT)",
    """CREATE TRIGGER note_end AFTER UPDATE OF status ON job
       WHEN OLD.status IN ('succeeded', 'failed', 'cancelled')
         OR NEW.status IN ('succeeded', 'failed', 'cancelled')
       BEGIN INSERT INTO ended VALUES (NEW.id, OLD.status, NEW.status); END""",
)
ON_POSTGRES = (
    "CREATE TABLE effect (job BIGINT, step INTEGER, owner TEXT)",
    "CREATE TABLE ended (job BIGINT, before TEXT, after TEXT)",
    """CREATE FUNCTION note_end() RETURNS trigger AS $$
       BEGIN INSERT INTO ended VALUES (NEW.id, OLD.status, NEW.status); RETURN NEW; END $$
       LANGUAGE plpgsql""",
    """CREATE TRIGGER note_end AFTER UPDATE OF status ON job FOR EACH ROW
       WHEN (OLD.status IN ('succeeded', 'failed', 'cancelled')
          OR NEW.status IN ('succeeded', 'failed', 'cancelled')) EXECUTE FUNCTION note_end()""",
)
UNDONE = (
    "DROP TRIGGER IF EXISTS note_end ON job",
    "DROP FUNCTION IF EXISTS note_end",
    "DROP TABLE IF EXISTS effect",
    "DROP TABLE IF EXISTS ended",
)


@pytest.fixture
def registry(database_url):
    """With a table for what jobs do, and one that the database itself fills when a job ends."""
    opened = Registry.open(database_url)
    on_sqlite = opened.dialect == "sqlite"

    def execute(statements):
        for statement in statements:
            with opened.begin() as tx:
                tx.session.execute(text(statement))

    execute(() if on_sqlite else UNDONE)
    execute(ON_SQLITE if on_sqlite else ON_POSTGRES)
    yield opened
    execute(() if on_sqlite else UNDONE)
    opened.close()


@contextmanager
def nursery(url, folder):
    """Gives a function that makes a worker, and its number; all are killed in the end."""
    command = [sys.executable, "-m", "tests.jobs.killed_worker", url, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    numbers = []

    def make():
        process.stdin.write("\n")
        process.stdin.flush()
        numbers.append(int(process.stdout.readline()))
        return numbers[-1]

    try:
        yield make
    finally:
        for pid in numbers:
            kill(pid)
        process.stdin.close()
        process.stdout.close()
        process.wait(PATIENCE)


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def unfinished(registry):
    with registry.read() as tx:
        return tx.jobs.list(1, JobStatus.QUEUED) + tx.jobs.running()


@pytest.mark.soak
def test_every_job_ends_once_and_nothing_is_done_twice(
    registry, database_url, tmp_path, rounds, tally, capsys
):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    kills = rounds(20, 200)
    jobs, submitted = made(registry, tmp_path), []
    with nursery(database_url, tmp_path) as make:
        crowd = [make() for _ in range(WORKERS)]
        for number in range(kills):
            submitted += [jobs.submit("steps", name=f"{number}.{each}").id for each in range(3)]
            time.sleep(dice.uniform(0.0, 0.3))
            kill(crowd.pop(dice.randrange(WORKERS)))
            crowd.append(make())
        end = time.monotonic() + PATIENCE
        while unfinished(registry):
            assert time.monotonic() < end, f"seed {seed}: {unfinished(registry)}"
            time.sleep(0.05)
    figures = audit(registry, submitted, tmp_path)
    tally(rounds=kills, injected=kills, repaired=kills)
    jobs.close()
    with capsys.disabled():
        sys.stdout.write(f"\n{registry.dialect}, seed {seed}: {kills} kills, {figures}\n")


def audit(registry, submitted, folder):
    with registry.read() as tx:
        ends = Counter(job for (job,) in tx.session.execute(text("SELECT job FROM ended")))
        revived = tx.session.scalar(
            text("SELECT count(*) FROM ended WHERE before NOT IN ('queued', 'running')")
        )
        effects = Counter(map(tuple, tx.session.execute(text("SELECT job, step FROM effect"))))
        rows = {job.id: job for job in tx.jobs.list(1 << 20)}
    assert set(rows) == set(ends), "what has ended, and what the database saw end"
    assert set(ends.values()) == {1}
    assert revived == 0
    assert set(effects.values()) == {1}, "an effect twice"
    outcomes = Counter()
    for number in submitted:
        job = rows[number]
        steps = sorted(step for owner, step in effects if owner == number)
        assert steps == list(range(len(steps)))
        assert all((folder / f"job-{number}-{step}").is_file() for step in steps)
        # One that three workers died of says so; every other was done whole.
        assert (
            len(steps) == STEPS if job.status is JobStatus.SUCCEEDED else "died 3 times" in str(job)
        ), job
        outcomes[job.status] += 1
    assert len(submitted) == sum(outcomes.values())
    deaths = sum(rows[number].deaths for number in submitted)
    ended = ", ".join(f"{count} {status}" for status, count in sorted(outcomes.items()))
    return f"{len(submitted)} jobs: {ended}; {deaths} died under one, {sum(effects.values())} effects"
