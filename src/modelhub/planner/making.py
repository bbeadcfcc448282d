"""The choice, and the plan for it."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from modelhub.facts import (
    Device,
    MemoryNeed,
    MemoryTier,
    Plan,
    PlannedFile,
    RepoFile,
    Report,
    RepoWarning,
    Variant,
)
from modelhub.facts.base import human_bytes
from modelhub.facts.plan import to_fetch
from modelhub.planner.candidates import candidates
from modelhub.planner.reasons import passed, steps, why
from modelhub.planner.unserved import hindrances, ways_out
from modelhub.planner.wishes import Blocked, Offer, Pair, Preferences, Room, Wish
from modelhub.refs import Digest
from modelhub.store.layout import copied_bytes

METADATA = "metadata"
"""What stands for a component in the plan of files that are none's."""


def make_plan(
    report: Report,
    wish: Wish,
    offers: Sequence[Offer],
    device: Device,
    present: Callable[[Digest], bool],
    companions: Sequence[RepoFile] = (),
    *,
    preferences: Preferences = Preferences(),  # noqa: B008 - frozen
    blocked: Mapping[str, Blocked] | None = None,
    room: Room = Room(),  # noqa: B008 - frozen
) -> Plan:
    """The plan for `wish`: of the variants that an installed runtime can run within the device's free
    memory, the most wished for and best; else the nearest thing to it, with what is in the way.

    `offers` has an entry for each candidate variant and each runtime that is not broken; `companions`
    are the repository's small files that go with every variant; `blocked` has those that may not be
    used, by name.
    """
    pairs = candidates(report, wish, preferences.tasks)
    allowed = [offer for offer in offers if _allowed(offer, wish)]
    refused = blocked or {}
    wished = sorted(pairs, key=lambda pair: preferences.place(pair[1]))
    best = _best(wished, allowed, refused)
    model, variant = (best.model, best.variant) if best else _first(wished, refused)
    usable = best is not None and best.runtime.usable
    files = tuple(_files(report, variant, present, companions))
    better = passed(pairs, wished, best, allowed, refused, preferences) if best else ()
    need = best.need if best else MemoryNeed.whole(variant.bytes, MemoryTier.SIZE)
    needed = sum(file.size for file in to_fetch(files)) + copied_bytes(
        ((file.path, file.size) for file in files), room.link_mode
    )
    return Plan(
        repo=report.repo,
        commit=report.commit,
        task=model.task,
        model=model,
        choice=variant,
        runtime=best.runtime.name if best and usable else None,
        device=device.name,
        need=need,
        memory_free=device.memory_free,
        fits=best.fits if best else variant.bytes <= device.memory_free,
        files=files,
        passed=better,
        disk_needed=needed,
        disk_free=room.free,
        why=tuple(
            why(pairs, best, better, wish) if best else hindrances((model, variant), offers, allowed)
        ),
        steps=tuple(steps(files, best) if best else ways_out((model, variant), offers)),
        warnings=(*report.warnings, *_disk_warnings(needed, room)),
    )


def _allowed(offer: Offer, wish: Wish) -> bool:
    if wish.runtime is not None:
        return offer.runtime.name == wish.runtime
    return not offer.runtime.explicit


def _first(wished: Sequence[Pair], blocked: Mapping[str, Blocked]) -> Pair:
    return min(wished, key=lambda pair: pair[1].name in blocked)


def _best(
    wished: Sequence[Pair], offers: Sequence[Offer], blocked: Mapping[str, Blocked]
) -> Offer | None:
    """In this order: it may be used, its runtime is here, it fits, how much it is wished for, quality,
    the runtime's priority; of those that do not fit, the smallest.
    """
    rank = {variant.name: index for index, (_, variant) in enumerate(wished)}
    able = [offer for offer in offers if offer.ok and offer.variant.name in rank]

    def order(offer: Offer) -> tuple[bool, bool, bool, int, int]:
        name = offer.variant.name
        size = rank[name] if offer.fits else offer.memory
        return (
            name in blocked,
            not offer.runtime.usable,
            not offer.fits,
            size,
            -offer.runtime.priority,
        )

    return min(able, key=order, default=None)


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


def _disk_warnings(needed: int, room: Room) -> Iterable[RepoWarning]:
    if room.free is not None and needed > room.free:
        text = f"it needs {human_bytes(needed)} of disk, and the store has {human_bytes(room.free)} free"
        yield RepoWarning(code="disk", text=text)
