"""Variants of a pipeline: for each mark the weights of all its parts, each part a component."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modelhub.facts import Component, Evidence, JsonDict, RepoFile, RepoWarning, Variant
from modelhub.registry.introspect.diffusers.parts import Holding
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.measures import Measure, measure, name_candidates
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.weights import MAX_SETS, PICKLED, SAFE, WeightSet, pickle_warnings

__all__ = ["Variants"]

PIPELINE, CODE = "pipeline", "code"


class _Chosen(NamedTuple):
    """A part with the weights that a variant takes of it, and what is known of them."""

    holding: Holding
    weights: WeightSet | None
    how: Measure | None

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.weights.files) if self.weights else 0


@dataclass
class Variants:
    """Makes the variants of one pipeline.

    `model` is the model's name; each variant has the `index` files as its component `pipeline`, and
    `code` as that of this name.
    """

    documents: Documents
    model: str
    index: tuple[RepoFile, ...]
    code: tuple[RepoFile, ...]
    evidence: list[Evidence] = field(default_factory=list)
    warnings: list[RepoWarning] = field(default_factory=list)

    def build(self, holdings: Sequence[Holding]) -> tuple[Variant, ...]:
        """A variant of each mark that every part has weights for, the best quality first."""
        marks = sorted({mark for each in holdings for mark in each.marks} or {""})[:MAX_SETS]
        chosen = [(mark, self._choose(holdings, mark)) for mark in marks]
        found = [(mark, parts) for mark, parts in chosen if parts is not None]
        self.warnings += pickle_warnings([p.weights for _, parts in found for p in parts if p.weights])
        names = unique(
            name_candidates(_format(parts), mark, _main_measure(parts).precision)
            for mark, parts in found
        )
        variants = [self._variant(name, parts) for name, (_, parts) in zip(names, found, strict=True)]
        return tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name)))

    def _choose(self, holdings: Sequence[Holding], mark: str) -> list[_Chosen] | None:
        """Every part with its weights in a variant; `None` where one of them has no whole ones."""
        chosen = []
        for holding in holdings:
            weights = holding.choose(mark)
            if weights is None and (holding.weights.sets or holding.weights.broken):
                return None
            how = measure(self.documents, weights, holding.config) if weights else None
            chosen.append(_Chosen(holding, weights, how))
        return chosen

    def _variant(self, name: str, parts: Sequence[_Chosen]) -> Variant:
        main = _main_measure(parts)
        self._note(f"variant:{self.model}:{name}", main)
        for part in parts:
            if part.how:
                self._note(f"component:{self.model}:{name}:{part.holding.part.name}", part.how)
        more = (self._component(PIPELINE, self.index, ""), self._component(CODE, self.code, ""))
        return Variant(
            name=name,
            format=_format(parts),
            precision=main.precision,
            parameters=main.parameters,
            components=(*map(self._part, parts), *(each for each in more if each.files)),
        )

    def _part(self, chosen: _Chosen) -> Component:
        weights, how, holding = chosen.weights, chosen.how, chosen.holding
        files = (*weights.files, *([weights.index] if weights.index else [])) if weights else ()
        whole = tuple(dict.fromkeys((*files, *holding.beside)))
        component = self._component(holding.part.name, whole, holding.folder)
        if weights is None or how is None:
            return component
        known = {"format": weights.format, "precision": how.precision, "parameters": how.parameters}
        return component.model_copy(update=known)

    def _component(self, name: str, files: tuple[RepoFile, ...], folder: str) -> Component:
        listing = self.documents.listing
        return Component(
            name=name, repo=listing.repo.id, commit=listing.commit, files=files, folder=folder
        )

    def _note(self, subject: str, how: Measure) -> None:
        said: JsonDict = {
            "precision": how.precision and how.precision.value,
            "parameters": how.parameters,
        }
        for key, value in said.items():
            if value is not None:
                row = Evidence(
                    subject=subject, key=key, value=value, evidence=how.source, trust=how.trust
                )
                self.evidence.append(row)


def _format(parts: Sequence[_Chosen]) -> str:
    """What a runtime must be able to read: one pickle among the parts makes it pickles."""
    pickled = any(part.weights and part.weights.format == PICKLED for part in parts)
    return PICKLED if pickled else SAFE


def _main_measure(parts: Sequence[_Chosen]) -> Measure:
    """Precision and parameters of what takes the noise away, of several together; else of the largest part."""
    known = [part for part in parts if part.how]
    most = max((part.holding.denoises for part in known), default=0)
    mains = [part for part in known if most and part.holding.denoises == most]
    if not mains:
        mains = sorted(known, key=lambda part: -part.bytes)[:1]
    hows = [part.how for part in sorted(mains, key=lambda part: -part.bytes) if part.how]
    if not hows:
        return Measure(None, "", 0, None)
    counts = [how.parameters for how in hows]
    whole = sum(count for count in counts if count) if all(counts) else None
    return Measure(hows[0].precision, hows[0].source, hows[0].trust, whole)
