"""A fetch whose process dies on a host that nobody can look at: whoever waits goes on with it."""

import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text

from modelhub.facts import JobKind, JobStatus
from modelhub.jobs import beat
from modelhub.registry import Registry


@pytest.fixture
def registry(postgres_current):
    opened = Registry.open(postgres_current)
    yield opened
    opened.close()


def ask(url, key, host, work):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.asker", url, key, host, work],
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_fetch_goes_on_soon_after_its_host_has_died(registry, postgres_current):
    key = f"artifact_download:{uuid4().hex}"
    with ask(postgres_current, key, "elsewhere", "stay") as first:
        assert first.stdout.readline() == "begun\n"
        with ask(postgres_current, key, "nowhere", "end") as second:
            assert second.stdout.readline() == "waiting\n"
            first.kill()
            assert second.stdout.readline() == "begun\n", "it gave up before the lease ran out"
            assert "'attempt': 2" in second.stdout.read()
    with registry.read() as tx:
        job = next(job for job in tx.jobs.list(10, kind=JobKind.ARTIFACT_DOWNLOAD) if job.key == key)
    assert (job.status, job.attempt, job.deaths) == (JobStatus.SUCCEEDED, 2, 1)
    assert job.output == {"host": "nowhere", "attempt": 2}


def test_a_dead_fetch_is_anothers_within_ten_seconds_and_other_work_within_a_minute():
    assert beat.lease_of(JobKind.PULL) == beat.lease_of(JobKind.ARTIFACT_DOWNLOAD)
    assert beat.lease_of(JobKind.ARTIFACT_DOWNLOAD).seconds + beat.FETCH_BEAT_SECONDS <= 10
    assert beat.lease_of(JobKind.VERIFY) == (60.0, 15.0)


def test_a_worker_takes_each_kind_for_its_own_time(registry):
    kinds = {f"short-{uuid4().hex[:8]}": 5.0, f"long-{uuid4().hex[:8]}": 500.0}
    for kind, lease in kinds.items():
        with registry.begin() as tx:
            job, _ = tx.jobs.create(kind, kind, {}, priority=1)
        with registry.begin() as tx:
            assert tx.jobs.claim(f"worker-{kind}", kinds).id == job.id
            left = "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM job WHERE id = :id"
            seconds = float(tx.session.scalar(text(left), {"id": job.id}))
            assert lease * 0.9 < seconds <= lease * 1.1
