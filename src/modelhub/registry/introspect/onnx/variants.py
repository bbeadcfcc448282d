"""Sets of graphs as variants: their precision, their parameters, the files that go with them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.errors import UnsafePath
from modelhub.facts import Component, Evidence, RepoFile, RepoWarning, Variant
from modelhub.formats import ONNXHeader
from modelhub.refs import Precision, RepoPath, canonical_tag
from modelhub.registry.introspect.base import FROM_HEADER, FROM_NAME
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.onnx.groups import GraphSet
from modelhub.registry.introspect.weight_names import plain_name
from modelhub.registry.introspect.weights import inside

__all__ = ["FORMAT", "Variants"]

FORMAT = "onnx"


@dataclass
class Variants:
    """Makes a variant of each set of graphs of one model.

    `model` is the model's name, `beside` gives the components that go with the graphs of a variant,
    and `data` are the files with weights of each graph by their names.
    """

    documents: Documents
    model: str
    beside: Callable[[GraphSet], tuple[Component, ...]]
    data: dict[str, list[RepoFile]]
    evidence: list[Evidence] = field(default_factory=list)
    warnings: list[RepoWarning] = field(default_factory=list)

    def build(self, sets: Sequence[GraphSet]) -> tuple[Variant, ...]:
        """A variant of each set that is whole, the best quality first."""
        found = [(each, parts) for each in sets if (parts := self._parts(each))]
        names = unique(_names(each, self._precision(each, each.main)) for each, _ in found)
        most = max((_parameters(parts) or 0 for _, parts in found), default=0)
        variants = []
        for name, (each, parts) in zip(names, found, strict=True):
            self._note(name, each)
            variants.append(
                Variant(
                    name=name,
                    format=FORMAT,
                    precision=parts[0].precision,
                    parameters=_parameters(parts) or most or None,
                    components=(*parts, *self.beside(each)),
                )
            )
        return tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name)))

    def _parts(self, graphs: GraphSet) -> list[Component]:
        """The parts of a set with their files; none where one of these is missing."""
        parts = []
        for part, file in graphs.parts.items():
            data = self._data(file)
            if data is None:
                return []
            header = self._header(file)
            precision = self._precision(graphs, part)
            parts.append(
                Component(
                    name=part,
                    repo=self.documents.listing.repo.id,
                    commit=self.documents.listing.commit,
                    files=(file, *data),
                    folder=file.path.folder,
                    format=FORMAT,
                    precision=precision and precision.value,
                    parameters=header.parameters if header else None,
                )
            )
        return parts

    def _data(self, file: RepoFile) -> list[RepoFile] | None:
        """The other files that hold a graph's weights, by its header and by name; `None`, which is
        told, where they are not all there.
        """
        header = self._header(file)
        stated = self._stated(file, header) if header else []
        if stated is None:
            return None
        named = [] if header and header.complete else self.data.get(file.path, [])
        return list(dict.fromkeys((*stated, *named)))

    def _stated(self, file: RepoFile, header: ONNXHeader) -> list[RepoFile] | None:
        found = []
        for location, needed in header.external.items():
            try:
                path = RepoPath(inside(file.path.folder, location.removeprefix("./")))
            except UnsafePath as error:
                self._warn("metadata.damaged", f"{file.path}: {error.message}; the variant is left out.")
                return None
            other = self.documents.listing.by_path.get(path)
            if other is None or other.size < needed:
                what = "is missing" if other is None else f"has {other.size:,} of {needed:,} bytes"
                text = f"{file.path}: {path}, where its weights are, {what}; the variant is left out."
                self._warn("shards.missing", text)
                return None
            found.append(other)
        return found

    def _precision(self, graphs: GraphSet, part: str) -> Precision | None:
        """By the header, else by the name."""
        header = self._header(graphs.parts[part])
        return (header and header.precision) or graphs.names[part].precision

    def _note(self, variant: str, graphs: GraphSet) -> None:
        """What names and headers say of the precision of each part, and which parts are another's."""
        for part, file in graphs.parts.items():
            whole = part == graphs.main
            subject = f"variant:{self.model}:{variant}" + ("" if whole else f":{part}")
            if named := graphs.names[part].precision:
                self._say(subject, "precision", named, f"{file.path}: file name", FROM_NAME)
            header = self._header(file)
            if header and header.precision:
                source = "nodes that unpack weights" if header.packed_bits else "types of initializers"
                self._say(subject, "precision", header.precision, f"{file.path}: {source}", FROM_HEADER)
            if part in graphs.lent:
                self._say(
                    subject, "lent", file.path, "there is none in the variant's precision", FROM_NAME
                )

    def _header(self, file: RepoFile) -> ONNXHeader | None:
        return self.documents.metadata.onnx(file.path)

    def _warn(self, code: str, text: str) -> None:
        self.warnings.append(RepoWarning(code=code, text=text))

    def _say(self, subject: str, key: str, value: str, evidence: str, trust: int) -> None:
        self.evidence.append(
            Evidence(subject=subject, key=key, value=str(value), evidence=evidence, trust=trust)
        )


def _parameters(parts: Sequence[Component]) -> int | None:
    """Of all parts together, where all are known."""
    counts = [part.parameters for part in parts]
    return sum(filter(None, counts)) if all(counts) else None


def _names(graphs: GraphSet, precision: Precision | None) -> list[str]:
    """Candidates for a variant's name, the best first."""
    return list(filter(None, _candidates(graphs, precision)))


def _candidates(graphs: GraphSet, precision: Precision | None) -> Iterator[str]:
    mark, place = graphs.mark, graphs.folder.rpartition("/")[2].lower()
    if mark and mark in place and mark != place:
        yield plain_name(place)  # it says for which machine, and how it was made
    elif mark and not Precision.parse(mark):
        yield canonical_tag(mark)  # `q4f16` says more than a precision
    plain = precision.value if precision else ""
    yield plain
    yield "-".join(filter(None, (FORMAT, mark or plain)))
    yield plain_name(graphs.path.name)
