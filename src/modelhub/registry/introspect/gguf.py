"""GGUF repositories: each quantization a variant, its shards one variant.

File names say which files belong together (`weight_names`); the header of one file a model says
what the model is.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from modelhub.facts import (
    Component,
    Evidence,
    JsonDict,
    Model,
    RepoFile,
    RepoListing,
    RepoWarning,
    Variant,
)
from modelhub.formats import GGUFHeader
from modelhub.refs import Precision, RepoPath, canonical_tag
from modelhub.registry.introspect.architectures import EMBED, find_gguf_task
from modelhub.registry.introspect.base import FROM_HEADER, FROM_NAME, Findings, Metadata
from modelhub.registry.introspect.gguf_header import (
    embedding_details,
    header_evidence,
    model_details,
    plain_architecture,
    plausible,
    role_by_header,
)
from modelhub.registry.introspect.naming import repository_name, unique
from modelhub.registry.introspect.weight_names import WeightName, plain_name, read_name, role_by_name
from modelhub.tasks import find_task

__all__ = ["GGUFFamily"]

MAX_SHARDS_READ = 64
MAX_HEADERS = 64
"""Of a repository with more models than this, the rest is known by file names alone."""


@dataclass(frozen=True, slots=True)
class _Weights:
    """One quantization of one model: its shards in order."""

    name: WeightName
    files: tuple[RepoFile, ...]
    missing: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def first(self) -> RepoPath:
        return self.files[0].path


class GGUFFamily:
    """Repositories with GGUF weights, for llama.cpp and what is built on it."""

    name = "gguf"

    def matches(self, listing: RepoListing) -> bool:
        return any(_is_gguf(file) and not role_by_name(file.path) for file in listing.files)

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        wanted: list[RepoPath] = []
        for weights in _models(listing).values():
            whole = [each for each in weights if not each.missing]
            if whole:
                files = min(whole, key=lambda each: each.size).files
                # Only all shards together know how many parameters there are.
                read = files if len(files) <= MAX_SHARDS_READ else files[:1]
                wanted += [file.path for file in read]
            wanted += [each.first for each in whole if each.name.precision is None]
        return tuple(dict.fromkeys(wanted))[:MAX_HEADERS]

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        return _Description(listing, metadata).findings()


def _is_gguf(file: RepoFile) -> bool:
    return file.path.suffix == ".gguf"


def _models(listing: RepoListing) -> dict[tuple[str, str], list[_Weights]]:
    """The weights by folder and name of their model, in the order of their paths."""
    series: dict[str, dict[int, tuple[WeightName, RepoFile]]] = {}
    for file in sorted(listing.files, key=lambda file: file.path):
        if _is_gguf(file) and not role_by_name(file.path):
            name = read_name(file.path)
            series.setdefault(name.series, {})[name.shard] = (name, file)
    models: dict[tuple[str, str], list[_Weights]] = {}
    for shards in series.values():
        weights = _weights(shards)
        models.setdefault((weights.name.folder, weights.name.model), []).append(weights)
    return models


def _weights(shards: dict[int, tuple[WeightName, RepoFile]]) -> _Weights:
    name = next(iter(shards.values()))[0]
    wanted = range(1, name.shards + 1)
    missing = tuple(number for number in wanted if number not in shards)
    here = [file for number, (_, file) in sorted(shards.items()) if missing or number in wanted]
    return _Weights(name, tuple(here), missing)


class _Description:
    """Collects what is found, model by model."""

    def __init__(self, listing: RepoListing, metadata: Metadata) -> None:
        self.listing = listing
        self.metadata = metadata
        self.models: list[Model] = []
        self.evidence: list[Evidence] = []
        self.warnings: list[RepoWarning] = []

    def findings(self) -> Findings:
        for file in filter(_is_gguf, self.listing.files):
            if role := role_by_name(file.path):
                self._note(f"file:{file.path}", "role", role, "file name", FROM_NAME)
        groups = {key: self._whole(weights) for key, weights in _models(self.listing).items()}
        groups = {key: weights for key, weights in groups.items() if weights}
        for name, weights in zip(_model_names(self.listing, groups), groups.values(), strict=True):
            self._describe(name, weights)
        return Findings(tuple(self.models), tuple(self.evidence), tuple(self.warnings))

    def _describe(self, name: str, weights: list[_Weights]) -> None:
        main = min(weights, key=lambda each: (self._header(each) is None, each.size))
        header = self._header(main)
        if role := role_by_header(header):
            for each in weights:
                self._note(f"file:{each.first}", "role", role, f"{main.first}: header", FROM_HEADER)
            return
        task = find_gguf_task(header, self.listing)
        self._note(f"model:{name}", "task", task.task, task.evidence, task.trust)
        if header:
            self.evidence += header_evidence(f"model:{name}", main.first, header)
        if header and task.task == "text-generation" and not header.chat_template:
            text = f"{main.first} has no chat template; answers follow a generic one."
            self._warn("chat_template.missing", text)
        if header and task.task == EMBED and "pooling" not in model_details(header):
            assumed = embedding_details(header)["pooling"]
            text = f"{main.first} does not say how it pools; modelhub takes: {assumed}."
            self._warn("pooling.assumed", text)
        self.models.append(self._model(name, task.task, weights, main))

    def _model(self, name: str, task: str, weights: list[_Weights], main: _Weights) -> Model:
        header = self._header(main)
        return Model(
            name=name,
            task=task,
            category=find_task(task).category,
            architecture=plain_architecture(header),
            context_length=plausible(header.context_length) if header else None,
            parameters=self._parameters(main),
            details=_details(header, task) if header else {},
            variants=self._variants(name, weights, main),
        )

    def _variants(self, model: str, weights: list[_Weights], main: _Weights) -> tuple[Variant, ...]:
        # Plain names go to unmarked files first; the rest says more.
        weights = sorted(weights, key=lambda each: (each.name.marked, each.first))
        precisions = [self._precision(each) for each in weights]
        names = unique(
            _variant_names(each, precision) for each, precision in zip(weights, precisions, strict=True)
        )
        variants = []
        for each, precision, name in zip(weights, precisions, names, strict=True):
            self._note_precision(f"variant:{model}:{name}", each)
            variants.append(
                self._variant(name, each, precision, self._parameters(each) or self._parameters(main))
            )
        return tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name)))

    def _variant(
        self, name: str, weights: _Weights, precision: Precision | None, parameters: int | None
    ) -> Variant:
        component = Component(
            name="model",
            repo=self.listing.repo.id,
            commit=self.listing.commit,
            files=weights.files,
            folder=weights.first.folder,
            format="gguf",
            precision=precision and precision.value,
            parameters=parameters,
        )
        return Variant(
            name=name,
            format="gguf",
            precision=component.precision,
            parameters=parameters,
            components=(component,),
        )

    def _whole(self, weights: Sequence[_Weights]) -> list[_Weights]:
        """Those whose shards are all here; a warning for each other."""
        whole = []
        for each in weights:
            header = self._header(each)
            if each.missing:
                some = ", ".join(map(str, each.missing[:5])) + ("…" if len(each.missing) > 5 else "")
                problem = f"{len(each.missing)} of {each.name.shards} shards are missing ({some})"
            elif header and header.split_count != len(each.files):
                problem = f"its header says it is one of {header.split_count} shards"
            else:
                whole.append(each)
                continue
            self._warn("shards.missing", f"{each.first}: {problem}; the variant is left out.")
        return whole

    def _parameters(self, weights: _Weights) -> int | None:
        headers = [self.metadata.gguf(file.path) for file in weights.files]
        counts = [header.parameters for header in headers if header]
        return (plausible(sum(counts)) or None) if len(counts) == len(headers) else None

    def _precision(self, weights: _Weights) -> Precision | None:
        header = self._header(weights)
        return weights.name.precision or (header.precision if header else None)

    def _note_precision(self, subject: str, weights: _Weights) -> None:
        header, named = self._header(weights), weights.name.precision
        if named:
            self._note(subject, "precision", named, f"{weights.first}: file name", FROM_NAME)
        if header and header.precision:
            source = "general.file_type" if header.file_type is not None else "tensor types"
            self._note(subject, "precision", header.precision, f"{weights.first}: {source}", FROM_HEADER)

    def _header(self, weights: _Weights) -> GGUFHeader | None:
        return self.metadata.gguf(weights.first)

    def _note(self, subject: str, key: str, value: str, evidence: str, trust: int) -> None:
        self.evidence.append(
            Evidence(subject=subject, key=key, value=str(value), evidence=evidence, trust=trust)
        )

    def _warn(self, code: str, text: str) -> None:
        self.warnings.append(RepoWarning(code=code, text=text))


def _details(header: GGUFHeader, task: str) -> JsonDict:
    return model_details(header) | (embedding_details(header) if task == EMBED else {})


def _model_names(listing: RepoListing, models: Iterable[tuple[str, str]]) -> list[str]:
    """A name for each: the repository's where there is one model, else what tells them apart."""
    keys = list(models)
    repository = repository_name(listing.repo.name)
    if len(keys) == 1:
        return [repository]
    return unique(
        [plain_name(model or folder), plain_name(f"{folder}-{model}"), repository]
        for folder, model in keys
    )


def _variant_names(weights: _Weights, precision: Precision | None) -> list[str]:
    """Candidates for a variant's name, the best first."""
    name = weights.name
    plain = precision if name.exact or not name.tag else None
    stem = plain_name(weights.first.name[: -len(weights.first.suffix)])
    told_apart = plain_name(f"{name.model}-{name.tag}")
    candidates = (plain, canonical_tag(name.tag), name.shards > 1 and told_apart, stem)
    return [str(candidate) for candidate in candidates if candidate] or ["gguf"]
