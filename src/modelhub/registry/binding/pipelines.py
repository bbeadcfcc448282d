"""A pipeline with the parts that its index takes from other repositories."""

from collections.abc import Iterable, Iterator, Mapping

from modelhub.facts import Component, JsonDict, Model, RepoFile, RepoId, Variant
from modelhub.registry.binding.parts import is_own, placeholder, source_beside, weighed
from modelhub.registry.binding.reference import Known, Outcome, Reference, part_places
from modelhub.registry.introspect.base import Metadata
from modelhub.registry.introspect.diffusers.index import Part
from modelhub.registry.introspect.diffusers.parts import DENOISER, Holding, find_holdings
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.measures import measure

__all__ = ["with_parts", "without_parts"]

Parts = Mapping[str, tuple[Reference, JsonDict, Outcome]]


def with_parts(own: RepoId, model: Model, parts: Parts) -> tuple[Model, list[str]]:
    """The pipeline with each of the parts as a component, and what is in the way.

    A part whose repository or folder is not known is a component without files.
    """
    problems: list[str] = []
    found = [_component(own, name, *place, problems) for name, place in parts.items()]
    variants = tuple(_measured(variant, found) for variant in model.variants)
    reports = [outcome.report for _, _, outcome in parts.values() if isinstance(outcome, Known)]
    known = [each.details for report in reports for each in report.models]
    return _with(model, variants, known), problems


def without_parts(own: RepoId, model: Model) -> Model:
    """The pipeline with what its own repository holds."""
    names = part_places(model).keys()
    variants = []
    for variant in model.variants:
        mine = (each for each in variant.components if is_own(own, each) or each.name not in names)
        variants.append(_measured(variant.model_copy(update={"components": tuple(mine)}), ()))
    return _with(model, tuple(variants), ())


def _with(model: Model, variants: tuple[Variant, ...], known: Iterable[JsonDict]) -> Model:
    sizes = [each.parameters or 0 for each in variants]
    parts = [part for each in variants for part in each.components]
    return model.model_copy(
        update={
            "variants": variants,
            "parameters": max(sizes, default=0) or None,
            "details": weighed(model.details, parts, *known),
        }
    )


def _measured(variant: Variant, more: Iterable[Component]) -> Variant:
    """A variant with further components: precise as what takes the noise away, else its largest part."""
    components = (*variant.components, *more)
    known = [part for part in components if part.precision]
    mains = [part for part in known if DENOISER.fullmatch(part.name)]
    mains = mains or sorted(known, key=lambda part: -part.bytes)[:1]
    counts = [part.parameters for part in mains]
    largest = max(mains, key=lambda part: part.bytes, default=None)
    return variant.model_copy(
        update={
            "components": components,
            "precision": largest and largest.precision,
            "parameters": (sum(filter(None, counts)) if all(counts) else None) or None,
        }
    )


def _component(
    own: RepoId,
    name: str,
    reference: Reference,
    place: JsonDict,
    outcome: Outcome,
    problems: list[str],
) -> Component:
    if not isinstance(outcome, Known):
        return placeholder(own, name, reference, None)
    part = _part(name, place)
    holding = _held(outcome, part)
    files = tuple(_files(holding)) if holding else ()
    if holding is None or not files:
        where = f"in the folder {part.folder}" if part.folder else "at its root"
        problems.append(f"{reference} holds no {name} {where}.")
        return placeholder(own, name, reference, outcome)
    found = Component(
        name=name,
        repo=outcome.report.repo,
        commit=outcome.report.commit,
        source=source_beside(own, reference.source),
        files=files,
        folder=holding.folder,
    )
    return found.model_copy(update=_said(outcome, holding, found))


def _part(name: str, place: JsonDict) -> Part:
    texts = {key: value for key, value in place.items() if isinstance(value, str)}
    return Part(
        name,
        texts.get("library", ""),
        texts.get("class", ""),
        texts.get("subfolder", ""),
        texts.get("variant", ""),
    )


def _held(known: Known, part: Part) -> Holding | None:
    """What the repository holds of the part, by names alone; its own reading knows the rest."""
    if part.folder and not any(f.path.startswith(f"{part.folder}/") for f in known.listing.files):
        return None
    holdings, _ = find_holdings(Documents(known.listing, Metadata()), [part])
    return holdings[0] if holdings else None


def _files(holding: Holding) -> Iterator[RepoFile]:
    weights = holding.choose("")
    if weights is None and (holding.weights.sets or holding.weights.broken):
        return
    if weights:
        yield from weights.files
        if weights.index:
            yield weights.index
    yield from holding.beside


def _said(known: Known, holding: Holding, found: Component) -> dict[str, object]:
    """Format, precision and parameters of the weights, as the other repository's headers say them."""
    weights = holding.choose("")
    if weights is None:
        return {}
    names = {file.path for file in weights.files}
    for model in known.report.models:
        for variant in model.variants:
            for part in variant.components:
                if part.repo == found.repo and names <= {file.path for file in part.files}:
                    same = ("format", "precision", "parameters")
                    return {name: getattr(part, name) for name in same}
    how = measure(Documents(known.listing, Metadata()), weights, Fields("", {}, lambda _: None))
    precision = how.precision and how.precision.value
    return {"format": weights.format, "precision": precision, "parameters": how.parameters}
