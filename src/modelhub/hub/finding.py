"""Answers `Hub.models`: checks what was asked for, and asks the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelhub.errors import InvalidInput
from modelhub.facts import ModelPage
from modelhub.facts.base import parse_bytes
from modelhub.hub.how import check_precision
from modelhub.planner import nearest
from modelhub.registry import ModelQuery, Registry, Transaction
from modelhub.tasks import TASKS, find_task

MOST = 1000
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Finder:
    """Finds models that the registry knows. Asks nobody else."""

    registry: Registry

    def page(self, limit: Any, after: Any, **wanted: Any) -> ModelPage:
        """A page of models; `wanted` are the filters of `Hub.models`."""
        if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= MOST:
            raise InvalidInput(
                f"limit must be from 1 to {MOST:,}, not {limit!r:.40}",
                hint="What is behind a page is the next page's.",
                field="limit",
            )
        _check_texts(after=after, **{name: wanted[name] for name in _TEXTS})
        with self.registry.read() as tx:
            return tx.search.page(_query(tx, wanted), limit, after)


_TEXTS = ("text", "task", "vendor", "format", "precision", "license")


def _check_texts(**given: object) -> None:
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise InvalidInput(f"{name} must be a text, not {type(value).__name__}", field=name)
        if name in ("task", "format", "license") and value is not None and not value.strip():
            raise InvalidInput(f"{name} is empty", hint="Leave it out to find any.", field=name)
        if name == "license" and isinstance(value, str) and not value.strip(", "):
            raise InvalidInput("license names none", hint="Such as apache-2.0.", field=name)


def _query(tx: Transaction, wanted: Mapping[str, Any]) -> ModelQuery:
    task, precision, kind = wanted["task"], wanted["precision"], wanted["format"]
    name, subtask = (None, None) if task is None else _task(tx, task)
    least, most = (_size(field, wanted[field]) for field in ("min_bytes", "max_bytes"))
    if least is not None and most is not None and least > most:
        raise InvalidInput(
            f"min_bytes is {least:,}, which is more than max_bytes, {most:,}",
            hint="Nothing is both.",
            field="min_bytes",
        )
    return ModelQuery(
        text=wanted["text"],
        task=name,
        subtask=subtask,
        vendor=wanted["vendor"],
        format=None if kind is None else kind.strip().lower(),
        precision=None if precision is None else check_precision("precision", precision),
        license=wanted["license"],
        min_bytes=least,
        max_bytes=most,
    )


def _task(tx: Transaction, name: str) -> tuple[str, str | None]:
    """The task and, where that is what was named, the subtask.

    A task that a listed model serves is one, whether modelhub has a verb for it or not.
    """
    wanted = name.strip().lower().replace("_", "-")
    try:
        task = find_task(wanted)
    except InvalidInput as error:
        served = tx.search.tasks()
        if wanted in served:
            return wanted, None
        names = {*served, *(task.id for task in TASKS), *(task.subtask or task.id for task in TASKS)}
        error.hint = f"Such as {', '.join(nearest(wanted, sorted(names))[:6])}."
        raise
    return task.id, None if wanted == task.id else task.subtask


def _size(field: str, given: object) -> int | None:
    """Bytes, from a number or a text such as `8GB`. No file is larger than what a database can count."""
    size = parse_bytes(given, field) if isinstance(given, str) else given
    if size is None:
        return None
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InvalidInput(
            f"{field} must be bytes, 0 or more, not {given!r:.40}",
            hint="Such as 8_000_000_000, or '8GB'.",
            field=field,
        )
    return min(size, _LARGEST)
