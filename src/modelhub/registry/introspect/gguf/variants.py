"""The quantizations of a GGUF model as its variants."""

from collections.abc import Mapping, Sequence

from modelhub.facts import (
    Component,
    Evidence,
    RepoFile,
    RepoListing,
    RepoWarning,
    Variant,
)
from modelhub.formats import GGUFHeader, GGUFTable
from modelhub.refs import Precision, canonical_tag
from modelhub.registry.introspect.base import Metadata
from modelhub.registry.introspect.gguf.groups import Weights
from modelhub.registry.introspect.gguf.precisions import PrecisionFinding, find_precision
from modelhub.registry.introspect.gguf.projectors import PROJECTOR
from modelhub.registry.introspect.gguf_header import plausible
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.weight_names import plain_name, read_name

__all__ = ["Variants"]


class Variants:
    """Makes the variants of one model; `evidence` and `warnings` get what is found on the way.

    `projectors` has the projector that goes with some weights, by the path of their first file.
    """

    def __init__(
        self,
        listing: RepoListing,
        metadata: Metadata,
        model: str,
        projectors: Mapping[str, RepoFile],
        evidence: list[Evidence],
        warnings: list[RepoWarning],
    ) -> None:
        self.listing = listing
        self.metadata = metadata
        self.model = model
        self.projectors = projectors
        self.evidence = evidence
        self.warnings = warnings

    def of(self, weights: Sequence[Weights], main: Weights) -> tuple[Variant, ...]:
        """A variant for each, the best quality first; `main` has the header that counts for all."""
        # Plain names go to unmarked files first; the rest says more.
        weights = sorted(weights, key=lambda each: (each.name.marked, each.first))
        found = [self._precision(each) for each in weights]
        names = unique(
            _variant_names(each, finding) for each, finding in zip(weights, found, strict=True)
        )
        variants = []
        for each, finding, name in zip(weights, found, names, strict=True):
            self._note(name, each, finding)
            parameters = self.parameters(each) or self.parameters(main)
            variants.append(self._variant(name, each, finding.precision, parameters))
        return tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name)))

    def parameters(self, weights: Weights) -> int | None:
        """Counted in the tensor tables of all its files, where they were read."""
        found = [self._tensors(file) for file in weights.files]
        counts = [each.parameters for each in found if each]
        return (plausible(sum(counts)) or None) if len(counts) == len(found) else None

    def _variant(
        self, name: str, weights: Weights, precision: Precision | None, parameters: int | None
    ) -> Variant:
        model = Component(
            name="model",
            repo=self.listing.repo.id,
            commit=self.listing.commit,
            files=weights.files,
            folder=weights.first.folder,
            format="gguf",
            precision=precision and precision.value,
            parameters=parameters,
        )
        projector = self.projectors.get(weights.first)
        return Variant(
            name=name,
            format="gguf",
            precision=model.precision,
            parameters=parameters,
            components=(model, self._projector(projector)) if projector else (model,),
        )

    def _projector(self, file: RepoFile) -> Component:
        header = self.metadata.gguf(file.path)
        precision = find_precision(read_name(file.path), header).precision
        return Component(
            name=PROJECTOR,
            repo=self.listing.repo.id,
            commit=self.listing.commit,
            files=(file,),
            folder=file.path.folder,
            format="gguf",
            precision=precision and precision.value,
            parameters=plausible(header.parameters) if header else None,
        )

    def _precision(self, weights: Weights) -> PrecisionFinding:
        return find_precision(weights.name, self._tensors(weights.files[0]))

    def _note(self, variant: str, weights: Weights, finding: PrecisionFinding) -> None:
        for value, source, trust in finding.rows():
            self.evidence.append(
                Evidence(
                    subject=f"variant:{self.model}:{variant}",
                    key="precision",
                    value=value.value,
                    evidence=f"{weights.first}: {source}",
                    trust=trust,
                )
            )
        if finding.contradiction:
            named, so = finding.contradiction
            text = f"{weights.first}: its name says {named}, its header {so}; modelhub takes {so}."
            self.warnings.append(RepoWarning(code="precision.conflict", text=text))

    def _tensors(self, file: RepoFile) -> GGUFHeader | GGUFTable | None:
        return self.metadata.gguf(file.path) or self.metadata.tables.get(file.path)


def _variant_names(weights: Weights, finding: PrecisionFinding) -> list[str]:
    """Candidates for a variant's name, the best first."""
    name = weights.name
    # What people call a file stays its name, even where it is not so.
    plain = name.precision if name.exact else None if name.tag else finding.precision
    stem = plain_name(weights.first.name[: -len(weights.first.suffix)])
    told_apart = plain_name(f"{name.model}-{name.tag}")
    candidates = (plain, canonical_tag(name.tag), name.shards > 1 and told_apart, stem)
    return [str(candidate) for candidate in candidates if candidate] or ["gguf"]
