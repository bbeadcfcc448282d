"""A process that makes workers: for each line on standard input a child that works until it is killed.

`python -m tests.jobs.killed_worker DATABASE FOLDER`; prints the number of each child. It forks before it has
a thread or a connection, so that a worker is there at once.
"""

import os
import signal
import sys
import time
from pathlib import Path

from sqlalchemy import text

from modelhub.jobs import Handler, JobContext, Jobs, Payload, workers
from modelhub.registry import Registry

STEPS = 4
STEP_SECONDS = 0.02


class Steps(Payload):
    name: str


def handler(folder: Path, jobs: list[Jobs]) -> Handler[Steps]:
    """Writes a row and a file a step, of which the first is a job of its own."""

    def step(number: int, context: JobContext) -> None:
        time.sleep(STEP_SECONDS)
        whole = context.job.id
        draft = folder / f"draft-{os.getpid()}-{whole}"
        draft.write_text(str(context.job.owner))
        context.check()
        draft.replace(folder / f"job-{whole}-{number}")
        with context.begin() as tx:
            row = {"job": whole, "step": number, "owner": context.job.owner}
            tx.session.execute(text("INSERT INTO effect VALUES (:job, :step, :owner)"), row)
            context.note(tx, {"steps": number + 1})

    def part(context: JobContext) -> dict:
        time.sleep(STEP_SECONDS)
        context.check()
        return {}

    def work(given: Steps, context: JobContext) -> dict:
        jobs[0].run("part", f"part of {given.name}", {}, part, call=context.call)
        for number in range((context.job.output or {}).get("steps", 0), STEPS):
            step(number, context)
        return {"steps": STEPS}

    return Handler("steps", Steps, work)


def made(registry: Registry, folder: Path) -> Jobs:
    jobs = Jobs(registry, threads=0)
    jobs.add(handler(folder, [jobs]))
    return jobs


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    workers.POLL_SECONDS = 0.05
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            made(Registry.open(sys.argv[1]), Path(sys.argv[2])).work(threads=2).join()
            os._exit(1)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
