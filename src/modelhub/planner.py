"""Chooses what to run: facts in, a `Plan` out. Touches nothing."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from modelhub.errors import (
    AmbiguousReference,
    InvalidInput,
    RuntimeNotFound,
    TaskNotSupported,
    VariantNotFound,
)
from modelhub.facts import Device, Model, Plan, PlannedFile, RepoFile, Report, RuntimeView, Variant
from modelhub.facts.base import human_bytes
from modelhub.refs import Digest, canonical_tag
from modelhub.tasks import TASKS, find_task

Pair = tuple[Model, Variant]

METADATA = "metadata"
"""What stands for a component in the plan of files that are none's."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a runtime says of one variant on one device: can it, and with how much memory."""

    runtime: RuntimeView
    model: Model
    variant: Variant
    device: Device
    ok: bool
    memory: int
    reason: str = ""
    loaded: bool = False

    @property
    def fits(self) -> bool:
        """What is loaded already fits: the memory that it takes is not free because it has it."""
        return self.loaded or self.memory <= self.device.memory_free


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for; `None` and `()` leave it to the planner.

    `bound` is the response format that the answer must have, `json_object` or `json_schema`.
    """

    task: str | None = None
    tags: tuple[str, ...] = ()
    variant: str | None = None
    runtime: str | None = None
    bound: str | None = None


def candidates(report: Report, wish: Wish) -> tuple[Pair, ...]:
    """The variants of one model that the wish allows, best quality first.

    Raises:
        TaskNotSupported: when no model of the repository serves the task.
        VariantNotFound: when nothing is left; the hint lists what exists, nearest first.
        AmbiguousReference: when several models are left.
    """
    if not report.models:
        raise TaskNotSupported(
            f"{report.repo} holds no model that modelhub recognises",
            hint=f"`modelhub files {report.repo}` lists what it holds.",
        )
    pairs = [(model, variant) for model in _for_task(report, wish.task) for variant in model.variants]
    wanted = [*wish.tags, *([wish.variant] if wish.variant else [])]
    for tag in wanted:
        pairs = _narrow(pairs, canonical_tag(tag)) or _no_variant(report, tag, pairs)
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


def make_plan(
    report: Report,
    wish: Wish,
    offers: Sequence[Offer],
    device: Device,
    present: Callable[[Digest], bool],
    companions: Sequence[RepoFile] = (),
) -> Plan:
    """The plan for `wish`: the best-quality variant that an installed runtime can run within the
    device's free memory; else the nearest thing to it, with what is in the way.

    `offers` has an entry for each candidate variant and each runtime that is not broken;
    `companions` are the repository's small files that go with every variant.
    """
    pairs = candidates(report, wish)
    allowed = [offer for offer in offers if _allowed(offer, wish)]
    best = _best(pairs, allowed)
    model, variant = (best.model, best.variant) if best else pairs[0]
    usable = best is not None and best.runtime.usable
    files = tuple(_files(report, variant, present, companions))
    return Plan(
        repo=report.repo,
        commit=report.commit,
        task=model.task,
        model=model,
        choice=variant,
        runtime=best.runtime.name if best and usable else None,
        device=device.name,
        memory=best.memory if best else variant.bytes,
        memory_free=device.memory_free,
        fits=best.fits if best else variant.bytes <= device.memory_free,
        files=files,
        why=tuple(_why(pairs, best, allowed, wish)),
        steps=tuple(_steps(files, best, allowed)),
        warnings=report.warnings,
    )


def _allowed(offer: Offer, wish: Wish) -> bool:
    if wish.runtime is not None:
        return offer.runtime.name == wish.runtime
    return not offer.runtime.explicit


def _best(pairs: Sequence[Pair], offers: Sequence[Offer]) -> Offer | None:
    """In this order: it can run, its runtime is here, it fits, quality, the runtime's priority; of
    those that do not fit, the smallest.
    """
    rank = {variant.name: index for index, (_, variant) in enumerate(pairs)}
    able = [offer for offer in offers if offer.ok and offer.variant.name in rank]
    if not able:
        return None

    def order(offer: Offer) -> tuple[bool, bool, int, int]:
        size = rank[offer.variant.name] if offer.fits else offer.memory
        return not offer.runtime.usable, not offer.fits, size, -offer.runtime.priority

    return min(able, key=order)


def _files(
    report: Report, variant: Variant, present: Callable[[Digest], bool], companions: Sequence[RepoFile]
) -> Iterable[PlannedFile]:
    listed = [(part.name, part.repo, file) for part, file in variant.files()]
    seen = {(repo, file.path) for _, repo, file in listed}
    listed += [
        (METADATA, report.repo, file) for file in companions if (report.repo, file.path) not in seen
    ]
    for component, repo, file in listed:
        here = file.sha256 is not None and present(file.sha256)
        yield PlannedFile(
            component=component,
            repo=repo,
            path=file.path,
            size=file.size,
            sha256=file.sha256,
            present=here,
        )


def _why(
    pairs: Sequence[Pair], best: Offer | None, offers: Sequence[Offer], wish: Wish
) -> Iterable[str]:
    if best is None:
        yield from dict.fromkeys(
            f"{offer.runtime.name}: {offer.reason}" for offer in offers if offer.reason
        )
        return
    for _, variant in pairs:
        if variant.name == best.variant.name:
            break
        over = [o for o in offers if o.variant.name == variant.name and o.ok and o.runtime.usable]
        if over:
            least = min(o.memory for o in over)
            yield f"{variant.name} would need {human_bytes(least)} of {human_bytes(best.device.memory_free)} free"
    asked = wish.variant or wish.tags
    reason = "was asked for" if asked and len(pairs) == 1 else "is the best quality that fits"
    if not best.fits:
        reason = "is the smallest, and does not fit"
    elif not best.runtime.usable:
        reason = "would be the best quality that fits"
    yield f"{best.variant.name} {reason}: {human_bytes(best.memory)} of {human_bytes(best.device.memory_free)} free"
    if not best.runtime.usable:
        yield f"{best.runtime.name} {best.runtime.reason}"


def _steps(files: Sequence[PlannedFile], best: Offer | None, offers: Sequence[Offer]) -> Iterable[str]:
    if best is None:
        yield "no installed runtime can run it" if offers else "no runtime for it is known"
        return
    if not best.runtime.usable:
        yield best.runtime.install or f"install {best.runtime.name}"
    missing = [file for file in files if not file.present]
    if missing:
        count = f"{len(missing)} file" + ("s" if len(missing) > 1 else "")
        yield f"fetch {human_bytes(sum(file.size for file in missing))} in {count}"
    yield "verify and link the variant's files"
    yield f"load it on {best.runtime.name} ({best.device.name})"


def check_runtime_name(views: Sequence[RuntimeView], name: str | None) -> None:
    """Refuse the name of a runtime that nobody provides.

    Raises:
        RuntimeNotFound: listing those that exist, nearest first.
    """
    if name is not None and name not in {view.name for view in views}:
        known = ", ".join(nearest(name, (view.name for view in views)))
        raise RuntimeNotFound(f"no runtime {name!r:.60}", hint=f"There are: {known}.", field="runtime")
