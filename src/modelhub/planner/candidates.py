"""What the caller may have meant: the variants that are left, the device, the runtime."""

import difflib
from collections.abc import Iterable, Sequence

from modelhub.errors import (
    AmbiguousReference,
    InvalidInput,
    RuntimeNotFound,
    TaskNotSupported,
    VariantNotFound,
)
from modelhub.facts import Device, Model, Report, RuntimeView, Variant
from modelhub.planner.wishes import Pair, Wish
from modelhub.refs import canonical_tag
from modelhub.tasks import TASKS, find_task


def candidates(report: Report, wish: Wish, hints: Sequence[str] = ()) -> tuple[Pair, ...]:
    """The variants of one model that the wish allows, best quality first. Where models of several tasks
    are left, it is those of the first of `hints` that there are any of.

    Raises:
        TaskNotSupported: when no model of the repository serves the task.
        VariantNotFound: when nothing is left; the hint lists what exists, nearest first.
        AmbiguousReference: when several models are left.
    """
    if not report.models:
        raise TaskNotSupported(
            f"{report.repo} holds no model that modelhub recognises",
            hint=f"`modelhub inspect {report.repo}` says what is missing; `modelhub files {report.repo}`"
            " lists what it holds.",
        )
    pairs = [(model, variant) for model in _for_task(report, wish.task) for variant in model.variants]
    wanted = [*wish.tags, *([wish.variant] if wish.variant else [])]
    for tag in wanted:
        pairs = _narrow(pairs, canonical_tag(tag)) or _no_variant(report, tag, pairs)
    pairs = _hinted(pairs, hints)
    if len({model.name for model, _ in pairs}) > 1:
        names = ", ".join(dict.fromkeys(f"{report.repo}:{model.name}" for model, _ in pairs))
        raise AmbiguousReference(
            f"{report.repo} holds several models", hint=f"Name one with a tag: {names}.", field="model"
        )
    if not pairs:
        raise VariantNotFound(f"{report.repo} holds no complete variant")
    return tuple(sorted(pairs, key=lambda pair: (-pair[1].quality, pair[1].bytes)))


def _for_task(report: Report, task: str | None) -> Iterable[Model]:
    if task is None:
        return report.models
    wanted = find_task(task)
    models = [model for model in report.models if model.task == wanted.id]
    if wanted.subtask:
        models = [model for model in models if model.subtask == wanted.subtask]
    if not models:
        served = ", ".join(sorted({model.task for model in report.models}))
        raise TaskNotSupported(
            f"{report.repo} does not serve {wanted.subtask or wanted.id}",
            hint=f"It serves {served}.",
            field="task",
        )
    return models


def _hinted(pairs: list[Pair], hints: Sequence[str]) -> list[Pair]:
    if len({model.name for model, _ in pairs}) < 2:
        return pairs
    of_each = ([pair for pair in pairs if hint in (pair[0].task, pair[0].subtask)] for hint in hints)
    return next(filter(None, of_each), pairs)


def _narrow(pairs: Sequence[Pair], tag: str) -> list[Pair]:
    """Those that the tag names: by variant first, since that is the narrowest meaning."""
    exact = [pair for pair in pairs if canonical_tag(pair[1].name) == tag]
    return exact or [pair for pair in pairs if tag in _names(*pair)]


def _names(model: Model, variant: Variant) -> set[str]:
    names = {model.name, model.task, model.subtask, variant.format, variant.precision}
    for task in TASKS:
        if task.id == model.task and task.subtask in (None, model.subtask):
            names |= set(task.aliases)
    return {canonical_tag(name) for name in names if name}


def _no_variant(report: Report, tag: str, pairs: Sequence[Pair]) -> list[Pair]:
    names = [variant.name for _, variant in pairs]
    raise VariantNotFound(
        f"{report.repo} has no variant {tag!r:.60}",
        hint=f"It has {', '.join(nearest(canonical_tag(tag), names)) or 'none'}.",
        field="variant",
        variants=nearest(canonical_tag(tag), names),
    )


def nearest(name: str, names: Iterable[str]) -> list[str]:
    """All `names`, those most like `name` first."""
    unique = dict.fromkeys(names)
    return sorted(unique, key=lambda other: -difflib.SequenceMatcher(None, name, other).ratio())


def choose_device(devices: Sequence[Device], name: str | None) -> Device:
    """The device of that name; without one, the one with the most free memory, not the CPU if
    there is another.

    Raises:
        InvalidInput: listing the devices that exist.
    """
    if name is None:
        return max(devices, key=lambda device: (device.kind != "cpu", device.memory_free))
    for device in devices:
        if device.name == name.lower():
            return device
    names = ", ".join(device.name for device in devices)
    raise InvalidInput(
        f"no device {name!r:.40} on this machine", hint=f"It has {names}.", field="device"
    )


def check_runtime_name(views: Sequence[RuntimeView], name: str | None) -> None:
    """Refuse the name of a runtime that nobody provides.

    Raises:
        RuntimeNotFound: listing those that exist, nearest first.
    """
    if name is not None and name not in {view.name for view in views}:
        known = ", ".join(nearest(name, (view.name for view in views)))
        raise RuntimeNotFound(f"no runtime {name!r:.60}", hint=f"There are: {known}.", field="runtime")
