"""`modelhub jobs` and `modelhub worker`: long work that is handed in, and what does it."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, common
from modelhub.facts import JobStatus

if TYPE_CHECKING:
    from modelhub.jobs import Workers

_DAY = 86_400
jobs = typer.Typer(help="Long work: what runs, what waits, what has ended.", rich_markup_mode=None)

Number = Annotated[int, typer.Argument(metavar="JOB", help="A job by its number.")]
Limit = Annotated[int, typer.Option(min=1, max=10_000, help="So many at most.")]
Status = Annotated[JobStatus | None, typer.Option(help="Only jobs of this status.")]
Timeout = Annotated[float | None, typer.Option(help="Seconds; ends only the waiting.")]

LOOK_SECONDS = 0.2


@jobs.callback(invoke_without_command=True)
def before(
    context: typer.Context, limit: Limit = 20, status: Status = None, as_json: AsJson = False
) -> None:
    """List jobs, newest first."""
    if context.invoked_subcommand is None:
        listed(limit, status, as_json=as_json)


@jobs.command("list")
def listed(limit: Limit = 20, status: Status = None, as_json: AsJson = False) -> None:
    """List jobs, newest first."""
    with common.hub(workers=0) as hub:
        render.jobs(hub.jobs.list(limit=limit, status=status), as_json=as_json)


@jobs.command()
def show(job: Number, as_json: AsJson = False) -> None:
    """Show one job, and the jobs that are parts of it."""
    with common.hub(workers=0) as hub:
        render.jobs([hub.jobs.get(job), *hub.jobs.list(parent=job)], as_json=as_json)


@jobs.command()
def submit(
    kind: Annotated[str, typer.Argument(help="Such as pull or sync.")],
    given: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME=VALUE]…", help="Such as model=Qwen/Qwen3-0.6B.")
    ] = None,
    priority: Annotated[int, typer.Option(help="The higher is begun first.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Hand in work for a `modelhub worker`."""
    pairs = [pair.partition("=") for pair in given or ()]
    if wrong := [name for name, equals, _ in pairs if not name or not equals]:
        raise typer.BadParameter(f"{wrong[0]!r} is not NAME=VALUE, as in model=Qwen/Qwen3-0.6B")
    payload = {name: value for name, _, value in pairs}
    with common.hub(workers=0) as hub:
        render.jobs([hub.jobs.submit(kind, priority=priority, **payload)], as_json=as_json)


@jobs.command()
def wait(job: Number, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Wait until a job has ended; exits 1 with its error when it failed."""
    with common.hub(workers=0) as hub:
        render.jobs([hub.jobs.wait(job, timeout=timeout)], as_json=as_json)


@jobs.command()
def watch(job: Number, timeout: Timeout = None, as_json: AsJson = False) -> None:
    """Print a job each time that it changes, until it has ended. Exits as wait does."""
    with common.hub(workers=0) as hub:
        for state in hub.jobs.watch(job, timeout=timeout):
            typer.echo(json.dumps(state.model_dump()) if as_json else str(state))
        hub.jobs.wait(job)


@jobs.command()
def cancel(job: Number, as_json: AsJson = False) -> None:
    """Ask a job to stop."""
    with common.hub(workers=0) as hub:
        render.jobs([hub.jobs.cancel(job)], as_json=as_json)


@jobs.command()
def retry(job: Number, as_json: AsJson = False) -> None:
    """Hand in again what a job that has ended was given, as a new job."""
    with common.hub(workers=0) as hub:
        render.jobs([hub.jobs.retry(job)], as_json=as_json)


def worker(
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="So many jobs at once.")] = 2,
    kinds: Annotated[
        list[str] | None, typer.Option(help="Only jobs of these kinds: pull,sync; may repeat.")
    ] = None,
    scrub: Annotated[
        bool, typer.Option("--scrub", help="Hash again what the store has while there is nothing to do.")
    ] = False,
    scrub_rate: Annotated[str, typer.Option(help="Read at most so much a second.")] = "50MB/s",
    scrub_older_than: Annotated[
        float, typer.Option(min=0, help="Only what was not hashed for so many days.")
    ] = 30.0,
) -> None:
    """Do jobs that were handed in, until SIGTERM or Ctrl-C. Then it lets go of what it does, for others; a
    second signal ends it at once.
    """
    chosen = [kind for given in kinds or () for kind in given.split(",") if kind]
    with common.hub(workers=0) as hub:
        age = scrub_older_than * _DAY
        spare = hub.store.idle_scrub(rate=scrub_rate, older_than=age) if scrub else None
        workers = hub.jobs.work(threads=concurrency, kinds=chosen or None, spare=spare)
        also = f" and {spare.kind}" if spare and chosen and spare.kind not in chosen else ""
        typer.echo(f"worker {os.getpid()} does {', '.join(chosen or hub.jobs.kinds)}{also}", err=True)
        with _stopped_by_signals(workers):
            while not workers.join(LOOK_SECONDS):
                pass


@contextmanager
def _stopped_by_signals(workers: "Workers") -> Iterator[None]:
    """The first signal asks them to stop, and starts their patience; the second does not wait."""
    came: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            workers.stop(wait=False)
            signal.setitimer(signal.ITIMER_REAL, workers.patience)
            return
        workers.stop(patience=0.0)
        sys.stderr.flush()
        os._exit(0 if number == signal.SIGALRM else 1)

    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGALRM)
    earlier = {each: signal.signal(each, stop) for each in signals}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for each, handler in earlier.items():
            signal.signal(each, handler)
