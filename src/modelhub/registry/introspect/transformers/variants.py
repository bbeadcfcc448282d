"""Sets of weights as variants: their precision and parameters by their headers, their components."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.facts import Component, Evidence, FileKind, RepoFile, RepoWarning, Variant
from modelhub.formats import SafetensorsHeader
from modelhub.formats.safetensors import DTYPES
from modelhub.refs import Precision
from modelhub.registry.introspect.base import FROM_CONFIG, FROM_HEADER
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.files import classify
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.transformers.config import quantization
from modelhub.registry.introspect.transformers.weights import PICKLED, WeightSet, inside

__all__ = ["Variants"]

MAX_FILES = 1000
"""Of a tokenizer, with its templates."""


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
        found = [(each, *self._precision(each)) for each in weights]
        names = unique(_candidates(each, precision) for each, precision, _, _ in found)
        for name, (_, precision, source, trust) in zip(names, found, strict=True):
            self._note(name, precision, source, trust)
        variants = [
            self._variant(name, each, precision)
            for name, (each, precision, _, _) in zip(names, found, strict=True)
        ]
        return tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name)))

    def _variant(self, name: str, weights: WeightSet, precision: Precision | None) -> Variant:
        parameters = self._parameters(weights)
        files = tuple(dict.fromkeys((*self._model_files(weights), *self.beside)))
        main = self._component("model", files, self.folder).model_copy(
            update={"format": weights.format, "precision": precision, "parameters": parameters}
        )
        more = (
            self._component("tokenizer", tuple(self._tokenizer_files())[:MAX_FILES], self.folder),
            self._component("code", self.code, ""),
        )
        return Variant(
            name=name,
            format=self._format(weights),
            precision=main.precision,
            parameters=parameters,
            components=(main, *(part for part in more if part.files)),
        )

    def _component(self, name: str, files: tuple[RepoFile, ...], folder: str) -> Component:
        listing = self.documents.listing
        return Component(
            name=name, repo=listing.repo.id, commit=listing.commit, files=files, folder=folder
        )

    def _format(self, weights: WeightSet) -> str:
        """What a runtime must be able to read: one pickle among the files makes it pickles."""
        pickles = [file.path for file in self.beside if file.path.suffix == ".bin"]
        if pickles:
            text = (
                f"{pickles[0]} is a pickle, which can run code when it is loaded. modelhub loads none."
            )
            self.warnings.append(RepoWarning(code="format.pickle", text=text))
        return PICKLED if pickles else weights.format

    def _model_files(self, weights: WeightSet) -> Iterator[RepoFile]:
        yield from weights.files
        if weights.index:
            yield weights.index
        for name in ("config.json", "generation_config.json"):
            if file := self.documents.listing.by_path.get(inside(self.folder, name)):
                yield file

    def _tokenizer_files(self) -> Iterator[RepoFile]:
        templates = inside(self.folder, "additional_chat_templates")
        for file in self.documents.listing.files:
            here = file.path.folder in (self.folder, templates)
            if here and classify(file.path) is FileKind.TOKENIZER:
                yield file

    def _headers(self, weights: WeightSet) -> list[SafetensorsHeader]:
        """Those that were read: not of every shard, where there are very many."""
        found = (self.documents.metadata.safetensors(file.path) for file in weights.files)
        return [header for header in found if header]

    def _precision(self, weights: WeightSet) -> tuple[Precision | None, str, int]:
        """The precision, what says it, and how far that is trusted."""
        if packed := quantization(self.config):
            return packed, f"{self.config.name}: quantization_config", FROM_CONFIG
        if counts := _elements(self._headers(weights)):
            most = max(counts, key=lambda dtype: counts[dtype])
            return DTYPES[most][1], f"{weights.files[0].path}: dtypes", FROM_HEADER
        said = self.config.text("dtype", "torch_dtype") or ""
        precision = Precision.parse(weights.mark) or Precision.parse(said)
        return precision, f"{self.config.name}: dtype", FROM_CONFIG

    def _parameters(self, weights: WeightSet) -> int | None:
        """Numbers that were learnt. Packed ones cannot be counted, and whole numbers are positions."""
        headers = self._headers(weights)
        if len(headers) < len(weights.files) or self.config.object("quantization_config"):
            return None
        return sum(count for dtype, count in _elements(headers).items() if DTYPES[dtype][1]) or None

    def _note(self, variant: str, precision: Precision | None, source: str, trust: int) -> None:
        if precision:
            subject = f"variant:{self.model}:{variant}"
            self.evidence.append(
                Evidence(
                    subject=subject,
                    key="precision",
                    value=precision.value,
                    evidence=source,
                    trust=trust,
                )
            )


def _elements(headers: Sequence[SafetensorsHeader]) -> dict[str, int]:
    """How many elements have each dtype, in all files together."""
    counts: dict[str, int] = {}
    for header in headers:
        for dtype, count in header.dtypes.items():
            counts[dtype] = counts.get(dtype, 0) + count
    return counts


def _candidates(weights: WeightSet, precision: Precision | None) -> list[str]:
    """Candidates for a variant's name, the best first."""
    plain = precision.value if precision else ""
    # A mark that is a precision, and not the one that the headers say, would mislead.
    mark = "" if Precision.parse(weights.mark) else weights.mark.lower()
    names = (plain, mark, plain and f"{weights.format}-{plain}", weights.format)
    return [name for name in names if name]
