"""Sets of weights as variants: their precision and parameters by their headers, their components."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.facts import Component, Evidence, RepoFile, RepoWarning, Variant
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.files import is_processor, tokenizer_files
from modelhub.registry.introspect.measures import Measure, measure, name_candidates
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.weights import PICKLED, PICKLES_ARE, WeightSet, inside

__all__ = ["Variants"]


@dataclass
class Variants:
    """Makes a variant of each set of weights of one model.

    `model` is the model's name and `folder` where its `config` is; every variant has the `beside`
    files in its component `model`, and `code` is its component of that name.
    """

    documents: Documents
    model: str
    folder: str
    config: Fields
    beside: tuple[RepoFile, ...]
    code: tuple[RepoFile, ...]
    evidence: list[Evidence] = field(default_factory=list)
    warnings: list[RepoWarning] = field(default_factory=list)

    def build(self, weights: Sequence[WeightSet]) -> tuple[Variant, ...]:
        """A variant of each, the best quality first."""
        found = [(each, measure(self.documents, each, self.config)) for each in weights]
        names = unique(name_candidates(each.format, each.mark, how.precision) for each, how in found)
        variants = []
        for name, (each, how) in zip(names, found, strict=True):
            self._note(name, how)
            variants.append(self._variant(name, each, how))
        return tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name)))

    def _variant(self, name: str, weights: WeightSet, how: Measure) -> Variant:
        files = tuple(dict.fromkeys((*self._model_files(weights), *self.beside)))
        main = self._component("model", files, self.folder).model_copy(
            update={
                "format": weights.format,
                "precision": how.precision,
                "parameters": how.parameters,
            }
        )
        more = (
            self._component(
                "tokenizer", tokenizer_files(self.documents.listing.files, self.folder), self.folder
            ),
            self._component("processor", self._processor(), self.folder),
            self._component("code", self.code, ""),
        )
        return Variant(
            name=name,
            format=self._format(weights),
            precision=main.precision,
            parameters=how.parameters,
            components=(main, *(part for part in more if part.files)),
        )

    def _component(self, name: str, files: tuple[RepoFile, ...], folder: str) -> Component:
        listing = self.documents.listing
        return Component(
            name=name, repo=listing.repo.id, commit=listing.commit, files=files, folder=folder
        )

    def _processor(self) -> tuple[RepoFile, ...]:
        return tuple(filter(is_processor, self.documents.files_in(self.folder)))

    def _format(self, weights: WeightSet) -> str:
        """What a runtime must be able to read: one pickle among the files makes it pickles."""
        pickles = [file.path for file in self.beside if file.path.suffix == ".bin"]
        if pickles:
            text = f"{pickles[0]} is a pickle, which can run code when it is loaded. {PICKLES_ARE}"
            self.warnings.append(RepoWarning(code="format.pickle", text=text))
        return PICKLED if pickles else weights.format

    def _model_files(self, weights: WeightSet) -> Iterator[RepoFile]:
        yield from weights.files
        if weights.index:
            yield weights.index
        for name in ("config.json", "generation_config.json"):
            if file := self.documents.listing.by_path.get(inside(self.folder, name)):
                yield file

    def _note(self, variant: str, how: Measure) -> None:
        if how.precision:
            self.evidence.append(
                Evidence(
                    subject=f"variant:{self.model}:{variant}",
                    key="precision",
                    value=how.precision.value,
                    evidence=how.source,
                    trust=how.trust,
                )
            )
