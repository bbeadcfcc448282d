"""What running work sees of its job."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from modelhub.facts import Call, Job, JsonDict, Progress, ProgressCallback
from modelhub.jobs.beat import Heart, TakenOver
from modelhub.registry import Registry, Transaction

inside: ContextVar[int | None] = ContextVar("modelhub_job", default=None)
"""The job whose work this thread does: what it starts is a part of it."""


class JobContext:
    """What running work reports to, and asks whether to go on. For one thread.

    `job` is the job as it was begun: its `output` is what an earlier attempt noted. `call` is cancelled
    when the work should stop, for what takes a `Call`.
    """

    def __init__(
        self,
        registry: Registry,
        job: Job,
        heart: Heart,
        call: Call,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        self.job = job
        self.call = call
        self._registry = registry
        self._heart = heart
        self._on_progress = on_progress

    def progress(
        self, stage: str, done: int, total: int | None = None, item: str = "", unit: str = "bytes"
    ) -> None:
        """Report; the row follows within a second. Raises as `check` does."""
        self.report(Progress(stage=stage, done=done, total=total, item=item, unit=unit))

    def report(self, progress: Progress) -> None:
        """The same, as a `ProgressCallback`."""
        self._heart.last = progress
        if self._on_progress is not None:
            self._on_progress(progress)
        self.check()

    def check(self) -> None:
        """Raise when the work should stop. Costs nothing.

        Raises:
            Cancelled: by the caller, by `Jobs.cancel`, or because its worker lets go of it.
            DeadlineExceeded
            TakenOver: when another process has the job.
        """
        # The job's own end says more than the call that it has cancelled.
        self._heart.check()
        self.call.check()

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        """A transaction of the one worker that has the job: what is written in it is written once.

        With `note` in the same transaction, whoever takes the job over knows that it was.

        Raises:
            Cancelled, TakenOver: before anything was written.
        """
        with self._registry.begin() as tx:
            self._heart.write(tx)
            self._heart.check()
            yield tx

    def note(self, tx: Transaction, output: JsonDict) -> None:
        """Keep what the job has so far as its output, which the next attempt finds in `job.output`.

        Raises:
            TakenOver
        """
        if not tx.jobs.note(self.job.id, str(self.job.owner), output):
            raise TakenOver
