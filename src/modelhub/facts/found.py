"""What a search finds: a page of models."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from modelhub.facts.base import Fact, human_bytes, table
from modelhub.facts.repo import Commit


class ModelEntry(Fact):
    """A model that a repository holds now, in a line.

    `repo` is `vendor/name` at `source`, `commit` what its default branch meant when it was last
    synced. `formats` and `precisions` are those of its variants, in their order; `parameters` counts
    weights, where known. `license` is the one that the most trusted evidence states, in lower case.
    `smallest_bytes` and `largest_bytes` are the sizes of variants, `None` where there is none.
    """

    repo: str
    source: str
    commit: Commit
    name: str
    task: str
    subtask: str | None = None
    formats: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    parameters: int | None = None
    license: str | None = None
    smallest_bytes: int | None = None
    largest_bytes: int | None = None

    def _brief(self) -> Iterable[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in ("repo", "name", "task", "license"))


class ModelPage(Fact):
    """Some of the models that were asked for, by repository and name; a loop goes through them.

    `next` is what `after=` takes for those behind them, `None` where there are no more.
    """

    models: tuple[ModelEntry, ...] = ()
    next: str | None = None

    def __iter__(self) -> Iterator[ModelEntry]:  # type: ignore[override]
        return iter(self.models)

    def __len__(self) -> int:
        return len(self.models)

    def table(self) -> str:
        """The models, one a line."""
        return table(_COLUMNS, map(_cells, self.models)) if self.models else "no model found"

    def _brief(self) -> Iterable[tuple[str, Any]]:
        return (("models", [entry.repo for entry in self.models[:3]]), ("next", self.next))

    def __str__(self) -> str:
        return self.table() if self.next is None else f"{self.table()}\nmore: after={self.next!r}"


_COLUMNS = ("repository", "model", "task", "parameters", "size", "license", "formats", "precisions")
_SHOWN = 4


def _cells(entry: ModelEntry) -> Sequence[object]:
    return (
        entry.repo,
        entry.name,
        entry.subtask or entry.task,
        "" if entry.parameters is None else f"{entry.parameters:,}",
        _sizes(entry),
        entry.license or "",
        _some(entry.formats),
        _some(entry.precisions),
    )


def _sizes(entry: ModelEntry) -> str:
    """`300 MB – 1.2 GB`, or the one size that there is."""
    sizes = (size for size in (entry.smallest_bytes, entry.largest_bytes) if size is not None)
    return " – ".join(dict.fromkeys(map(human_bytes, sizes)))


def _some(names: Sequence[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f", +{rest}" if rest > 0 else "")
