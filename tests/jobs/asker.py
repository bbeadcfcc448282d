"""One that wants a fetch done, as of a host of its own: `python -m tests.jobs.asker DATABASE KEY HOST WORK`.

Prints `waiting` where another has the job, `begun` when it has it itself, and at last its output. `WORK` is
`stay`, which never ends, or `end`.
"""

import sys
import threading
from uuid import uuid4

from modelhub.facts import Call, JobKind
from modelhub.jobs import Jobs, engine
from modelhub.registry import Registry

PATIENCE = 40
"""Seconds: less than what other kinds of work leave a dead worker."""


def main(url, key, host, work):
    engine.me = lambda: f"{host}:1:{uuid4().hex[:12]}"

    def begun(context):
        say("begun")
        while work == "stay":
            context.check()
            threading.Event().wait(0.1)
        return {"host": host, "attempt": context.job.attempt}

    told = set()

    def on_progress(progress):
        if progress.stage == "waiting" and not told:
            told.add("waiting")
            say("waiting")

    jobs = Jobs(Registry.open(url))
    call = Call(timeout=PATIENCE if work == "end" else None)
    say(jobs.run(JobKind.ARTIFACT_DOWNLOAD, key, {}, begun, call=call, on_progress=on_progress))


def say(what):
    print(what, flush=True)  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
