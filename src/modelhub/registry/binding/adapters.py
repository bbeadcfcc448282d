"""An adapter with the model that it builds on: each variant of that is one of the adapter's."""

from collections.abc import Sequence

from modelhub.facts import Component, Model, RepoId, Variant
from modelhub.facts.memory import TENSOR_BYTES
from modelhub.registry.binding.parts import is_own, moved, placeholder, weighed
from modelhub.registry.binding.reference import BASE, Known, Outcome, Reference
from modelhub.registry.introspect.adapters.family import LORA, PEFT
from modelhub.registry.introspect.adapters.places import CONFIG
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.weights import PICKLED, SAFE

__all__ = ["with_base", "without_base"]

ADAPTER = "adapter"
_LOADED = (SAFE, PICKLED, PEFT, LORA)
"""Formats of models that adapters are made for; others of the same repository are made of them."""


def with_base(
    own: RepoId, model: Model, reference: Reference, outcome: Outcome
) -> tuple[Model, list[str]]:
    """The adapter with the components of its base, and what is in the way.

    Variants are called as those of the base are, and are as precise. Without a base that is known,
    the component `base` has no files.
    """
    if not isinstance(outcome, Known):
        return _without(own, model, reference, None), []
    base = _fitting(model, outcome)
    if base is None:
        what = f"{reference}, on which {model.name} builds, holds no model that an adapter could be for"
        return _without(own, model, reference, outcome), [f"{what}."]
    mine = model.variants[0]
    variants = [each for each in base.variants if each.format in _LOADED] or base.variants
    bound = tuple(_variant(own, mine, each, reference, outcome) for each in variants)
    parts = [part for each in bound for part in each.components]
    assumed = _adapter(model).get("task") == "assumed"
    task = {"task": base.task, "subtask": base.subtask, "category": base.category} if assumed else {}
    return model.model_copy(
        update={
            **task,
            "architecture": base.architecture,
            "context_length": base.context_length,
            "parameters": max((each.parameters or 0 for each in bound), default=0) or None,
            "details": weighed(base.details | model.details, parts, base.details),
            "variants": bound,
        }
    ), []


def without_base(own: RepoId, model: Model) -> Model:
    """The adapter alone."""
    parts = tuple(part for part in model.variants[0].components if is_own(own, part))
    main = next((part for part in parts if part.name == ADAPTER), None)
    if main is None:
        return model
    kind = _format(main)
    kept = [key for key in (ADAPTER, BASE, TENSOR_BYTES) if key in model.details]
    alone = Variant(
        name=main.precision or kind,
        format=kind,
        precision=main.precision,
        parameters=main.parameters,
        components=parts,
    )
    return model.model_copy(
        update={
            "architecture": None,
            "context_length": None,
            "parameters": main.parameters,
            "details": weighed({key: model.details[key] for key in kept}, parts),
            "variants": (alone,),
        }
    )


def _fitting(model: Model, base: Known) -> Model | None:
    """The model to build on, of several: one of the task with weights that adapters are for."""

    def order(other: Model) -> tuple[bool, bool]:
        loaded = any(each.format in _LOADED for each in other.variants)
        return loaded, other.task == model.task

    return max((each for each in base.report.models if each.variants), key=order, default=None)


def _variant(own: RepoId, mine: Variant, base: Variant, reference: Reference, known: Known) -> Variant:
    names = {part.name for part in mine.components}
    theirs = [moved(own, part, reference, known) for part in base.components]
    # What the adapter brings itself (its tokenizer) counts; another adapter is one more.
    kept = [part for part in theirs if part.name not in names or part.name == ADAPTER]
    counts = [base.parameters, *(part.parameters for part in mine.components if part.parameters)]
    return Variant(
        name=base.name,
        format=PICKLED if PICKLED in (mine.format, base.format) else mine.format,
        precision=base.precision,
        parameters=sum(filter(None, counts)) if base.parameters else None,
        components=_renamed((*mine.components, *kept)),
    )


def _renamed(parts: Sequence[Component]) -> tuple[Component, ...]:
    names = unique([part.name] for part in parts)
    return tuple(part.model_copy(update={"name": name}) for part, name in zip(parts, names, strict=True))


def _without(own: RepoId, model: Model, reference: Reference, known: Known | None) -> Model:
    mine = model.variants[0]
    lacking = placeholder(own, BASE, reference, known)
    variant = mine.model_copy(update={"components": (*mine.components, lacking)})
    return model.model_copy(update={"variants": (variant,)})


def _format(main: Component) -> str:
    """As introspection calls it."""
    if main.format == PICKLED:
        return PICKLED
    return PEFT if any(file.path.name == CONFIG for file in main.files) else LORA


def _adapter(model: Model) -> dict[str, object]:
    said = model.details.get(ADAPTER)
    return dict(said) if isinstance(said, dict) else {}
