"""Shows long work to people: a bar on a terminal or in a notebook, or a function of theirs."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from modelhub.facts import Progress, ProgressCallback
from modelhub.facts.base import human_bytes

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

Reporter = AbstractContextManager[ProgressCallback | None]


def reporter(
    wanted: bool | ProgressCallback | None, looks: Callable[[], bool] | None = None
) -> Reporter:
    """What shows progress: a bar for `True`, nothing for `False`, a bar where people look for
    `None`, and any function as it is. `looks` tells whether they do.
    """
    if callable(wanted):
        return nullcontext(wanted)
    if wanted is None:
        wanted = (looks or _someone_looks)()
    if not wanted:
        return nullcontext(None)
    return NotebookBars() if _in_notebook() else Bars()


def _someone_looks() -> bool:
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    return "ipykernel" in sys.modules


class Bars:
    """Bars on a console (standard error by default), one a stage; none until there is something
    to show. Bytes are shown with their speed; with a known total also the time that is left.
    """

    def __init__(self, console: "Console | None" = None) -> None:
        self._console = console
        self._bars: RichProgress | None = None
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        return self

    def __call__(self, progress: Progress) -> None:
        if progress.total == 0:
            return
        bars, stage = self._started(), progress.stage
        if stage not in self._stages:
            self._stages[stage] = bars.add_task(stage, total=progress.total, count="", unit="", item="")
        bars.update(
            self._stages[stage],
            completed=progress.done,
            total=progress.total,
            count=_count(progress),
            unit=progress.unit,
            item=_tail(progress.item),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def _started(self) -> "RichProgress":
        if self._bars is None:
            self._bars = _rich_progress(self._console)
            self._bars.start()
        return self._bars


class NotebookBars:
    """The same for notebooks, where tqdm has bars that stay in their cell."""

    def __init__(self, **options: Any) -> None:
        self._options = options
        self._stages: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __call__(self, progress: Progress) -> None:
        if progress.total == 0:
            return
        if (bar := self._stages.get(progress.stage)) is None:
            bar = self._stages[progress.stage] = self._bar(progress)
        bar.total = progress.total
        bar.set_postfix_str(_tail(progress.item), refresh=False)
        bar.update(progress.done - bar.n)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for bar in self._stages.values():
            bar.refresh()
            bar.close()

    def _bar(self, progress: Progress) -> Any:
        from tqdm.auto import tqdm

        in_bytes = progress.unit == "bytes"
        unit = "B" if in_bytes else f" {progress.unit}"
        return tqdm(
            desc=progress.stage, total=progress.total, unit=unit, unit_scale=in_bytes, **self._options
        )


def _rich_progress(console: "Console | None") -> "RichProgress":
    from rich.console import Console
    from rich.progress import BarColumn, Task, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Speed(TransferSpeedColumn):
        def render(self, task: Task) -> Text:
            return super().render(task) if task.fields["unit"] == "bytes" else Text()

    return RichProgress(
        TextColumn("{task.description:>8}"),
        BarColumn(bar_width=30),
        TextColumn("{task.fields[count]}", markup=False),
        Speed(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[item]}", markup=False),
        console=console or Console(stderr=True),
    )


def _count(progress: Progress) -> str:
    """`5 MB of 10 MB`, `3 of 7 files`, or what is known of it."""
    done, total, unit = progress.done, progress.total, progress.unit
    if unit == "bytes":
        parts = [human_bytes(count) for count in (done, total) if count is not None]
        return " of ".join(parts) if done or total else ""
    if total is None:
        return f"{done:,} {unit}" if done else ""
    return f"{done:,} of {total:,} {unit}"


def _tail(item: str) -> str:
    return item if len(item) <= 40 else "…" + item[-39:]
