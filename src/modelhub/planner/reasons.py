"""What a plan says of itself: why this variant and not a better one, and what there is to do."""

from collections.abc import Iterable, Mapping, Sequence

from modelhub.facts import Passed, PassedBy, PlannedFile, Variant
from modelhub.facts.base import human_bytes
from modelhub.facts.plan import to_fetch
from modelhub.planner.unserved import said
from modelhub.planner.wishes import Blocked, Offer, Pair, Preferences, Wish


def passed(
    pairs: Sequence[Pair],
    wished: Sequence[Pair],
    best: Offer,
    offers: Sequence[Offer],
    blocked: Mapping[str, Blocked],
    preferences: Preferences,
) -> tuple[Passed, ...]:
    """The variants that are better, or more wished for, than the chosen one, best quality first."""
    before = {variant.name for order in (pairs, wished) for variant in _before(order, best.variant)}
    return tuple(
        _passed(
            variant, best, [o for o in offers if o.variant.name == variant.name], blocked, preferences
        )
        for _, variant in pairs
        if variant.name in before
    )


def _before(order: Sequence[Pair], chosen: Variant) -> Iterable[Variant]:
    for _, variant in order:
        if variant.name == chosen.name:
            return
        yield variant


def _passed(
    variant: Variant,
    best: Offer,
    offers: Sequence[Offer],
    blocked: Mapping[str, Blocked],
    preferences: Preferences,
) -> Passed:
    reason, text = _reason(variant, best, offers, blocked, preferences)
    needed = free = None
    if reason is PassedBy.DOES_NOT_FIT:
        needed = min(offer.memory for offer in offers if offer.ok and offer.runtime.usable)
        free = best.device.memory_free
        text = f"would need {human_bytes(needed)} of {human_bytes(free)} free"
    return Passed(
        variant=variant.name,
        format=variant.format,
        precision=variant.precision,
        bytes=variant.bytes,
        reason=reason,
        text=f"{variant.name} {text}",
        needed=needed,
        free=free,
    )


def _reason(
    variant: Variant,
    best: Offer,
    offers: Sequence[Offer],
    blocked: Mapping[str, Blocked],
    preferences: Preferences,
) -> tuple[PassedBy, str]:
    if variant.name in blocked:
        found = blocked[variant.name]
        return found.reason, found.text
    able = [offer for offer in offers if offer.ok]
    if not able:
        reasons = dict.fromkeys(said(offer) for offer in offers if offer.reason)
        return PassedBy.NO_RUNTIME, f"has no runtime ({'; '.join(reasons) or 'none is known'})"
    usable = [offer for offer in able if offer.runtime.usable]
    if not usable and best.runtime.usable:
        lacking = dict.fromkeys(f"{o.runtime.name} {o.runtime.reason}" for o in able)
        return PassedBy.NO_RUNTIME, f"has no runtime here ({'; '.join(lacking)})"
    if usable and not any(offer.fits for offer in usable):
        return PassedBy.DOES_NOT_FIT, ""
    name = preferences.names(best.variant, variant)
    return PassedBy.NOT_PREFERRED, f"is not what is preferred ({name})" if name else "is no smaller"


def why(pairs: Sequence[Pair], best: Offer, better: Sequence[Passed], wish: Wish) -> Iterable[str]:
    """A sentence for each variant that was passed over, and one for the choice."""
    yield from (each.text for each in better)
    sums = f"{human_bytes(best.memory)} of {human_bytes(best.device.memory_free)} free"
    yield f"{best.variant.name} {_merit(pairs, best, better, wish)}: {sums}"
    if not best.runtime.usable:
        yield f"{best.runtime.name} {best.runtime.reason}"


def _merit(pairs: Sequence[Pair], best: Offer, better: Sequence[Passed], wish: Wish) -> str:
    preferred = any(each.reason is PassedBy.NOT_PREFERRED for each in better)
    asked = wish.variant or wish.tags
    if not best.fits:
        alone = len(pairs) == 1
        return "does not fit" if alone else "is the smallest, and does not fit"
    if not best.runtime.usable:
        return "would be the best quality that fits"
    if preferred:
        return "was preferred at registration, and fits"
    if len(pairs) == 1:
        return "was asked for, and fits" if asked else "is the only variant, and fits"
    return "is the best quality that fits"


def steps(files: Sequence[PlannedFile], best: Offer) -> Iterable[str]:
    """What there is to do."""
    if not best.fits:
        lacking = human_bytes(best.memory - best.device.memory_free)
        yield f"free {lacking} more on {best.device.name}, or take what needs less: it does not fit as it is"
    if not best.runtime.usable:
        yield best.runtime.install or f"install {best.runtime.name}"
    missing = to_fetch(files)
    if missing:
        count = f"{len(missing)} file" + ("s" if len(missing) > 1 else "")
        yield f"fetch {human_bytes(sum(file.size for file in missing))} in {count}"
    yield "verify and link the variant's files"
    yield f"load it on {best.runtime.name} ({best.device.name})"
