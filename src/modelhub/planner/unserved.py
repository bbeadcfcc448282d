"""What a plan says where no runtime takes the chosen variant."""

from collections.abc import Iterable, Iterator, Sequence

from modelhub.facts import RuntimeView
from modelhub.planner.wishes import Offer, Pair

__all__ = ["hindrances", "said", "ways_out"]

GUIDE = "docs/tutorial/write-a-runtime.md"


def hindrances(chosen: Pair, offers: Sequence[Offer], allowed: Iterable[Offer]) -> Iterator[str]:
    """What there is no runtime for, and what each of the allowed ones says of the chosen variant: a sentence
    each.
    """
    if gap := _gap(chosen, offers):
        yield f"modelhub has no runtime yet that runs {gap}"
    of_each = {offer.runtime.name: said(offer) for offer in _of(chosen, allowed) if offer.reason}
    yield from of_each.values()


def said(offer: Offer) -> str:
    """Why a runtime does not take a variant, with its name once."""
    name = offer.runtime.name
    return offer.reason if offer.reason.startswith(f"{name} ") else f"{name}: {offer.reason}"


def ways_out(chosen: Pair, offers: Sequence[Offer]) -> Iterator[str]:
    """What could be done instead."""
    gap = _gap(chosen, offers)
    if not gap:
        yield "no installed runtime can run it" if offers else "no runtime for it is known"
        return
    if formats := _readable(_serving(chosen, offers)):
        yield f"take {chosen[0].task} in a format that a runtime here reads: {formats}"
    yield f"add a plugin that runs {gap}: {GUIDE} says how to write one"


def _gap(chosen: Pair, offers: Sequence[Offer]) -> str:
    """What none of the runtimes does; empty where one would, were it not for what it says of this variant."""
    model, variant = chosen
    serving = _serving(chosen, offers)
    if not offers or any(variant.format in view.formats for view in serving):
        return ""
    return f"{model.task} in {variant.format}" if serving else model.task


def _of(chosen: Pair, offers: Iterable[Offer]) -> Iterator[Offer]:
    names = [each.name for each in chosen]
    return (offer for offer in offers if [offer.model.name, offer.variant.name] == names)


def _serving(chosen: Pair, offers: Iterable[Offer]) -> list[RuntimeView]:
    """The runtimes that serve the model's task unasked, each once."""
    views = {offer.runtime.name: offer.runtime for offer in _of(chosen, offers)}
    return [view for view in views.values() if chosen[0].task in view.tasks and not view.explicit]


def _readable(views: Iterable[RuntimeView]) -> str:
    """Such as `gguf (llama_cpp, llama_server), safetensors (transformers)`."""
    readers: dict[str, list[str]] = {}
    for view in views:
        for kind in view.formats:
            readers.setdefault(kind, []).append(view.name)
    return ", ".join(f"{kind} ({', '.join(names)})" for kind, names in readers.items())
