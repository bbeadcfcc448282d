"""Shows long work to people: a bar on a terminal or in a notebook, or a function of theirs."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Self

from modelhub.facts import Progress, ProgressCallback

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Reporter = AbstractContextManager[ProgressCallback | None]


def reporter(wanted: bool | ProgressCallback | None) -> Reporter:
    """What shows progress: a bar for `True`, nothing for `False`, a bar where people look for
    `None`, and any function as it is.
    """
    if callable(wanted):
        return nullcontext(wanted)
    if wanted is None:
        wanted = _someone_looks()
    return Bars() if wanted else nullcontext(None)


def _someone_looks() -> bool:
    return sys.stderr.isatty() or "ipykernel" in sys.modules


class Bars:
    """Bars on standard error, one a stage; none until there is something to show.

    Counts in bytes are shown with speed and time left, others as they are.
    """

    def __init__(self, make: "Callable[[], RichProgress] | None" = None) -> None:
        self._make = make or _rich_progress
        self._bars: RichProgress | None = None
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __call__(self, progress: Progress) -> None:
        if progress.total == 0:
            return
        bars = self._started()
        stage = progress.stage
        if stage not in self._stages:
            self._stages[stage] = bars.add_task(stage, total=progress.total, item="")
        bars.update(
            self._stages[stage], completed=progress.done, total=progress.total, item=_tail(progress.item)
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _started(self) -> "RichProgress":
        if self._bars is None:
            self._bars = self._make()
            self._bars.start()
        return self._bars


def _rich_progress() -> "RichProgress":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description:>8}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[item]}"),
        console=Console(stderr=True),
    )


def _tail(item: str) -> str:
    return item if len(item) <= 40 else "…" + item[-39:]
