"""Repositories that the transformers library opens: each precision a variant, its shards one variant."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from modelhub.facts import (
    Component,
    Evidence,
    FileKind,
    JsonDict,
    JsonValue,
    Model,
    RepoFile,
    RepoListing,
    RepoWarning,
    Variant,
)
from modelhub.formats.safetensors import DTYPES
from modelhub.refs import Precision, RepoPath
from modelhub.registry.introspect.architectures import CHAT, EMBED, TaskFinding
from modelhub.registry.introspect.base import (
    FROM_CONFIG,
    FROM_HEADER,
    Findings,
    Metadata,
)
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.files import classify
from modelhub.registry.introspect.naming import repository_name, unique
from modelhub.registry.introspect.transformers.code import Code, find_code
from modelhub.registry.introspect.transformers.config import (
    chat_template,
    context_length,
    model_config,
    model_details,
    quantization,
)
from modelhub.registry.introspect.transformers.embedding import (
    MODULES,
    Modules,
    embedding_details,
    module_files,
    read_modules,
)
from modelhub.registry.introspect.transformers.tasks import find_task_of
from modelhub.registry.introspect.transformers.weights import (
    PICKLED,
    WeightSet,
    find_weights,
    inside,
    is_weights,
)
from modelhub.tasks import find_task

__all__ = ["TransformersFamily"]

MAX_HEADERS = 64
"""A model with more shards than this is not counted through; its index tells that they are there."""

_MODULE_FOLDER = re.compile(r"\d{1,2}_\w+|")


class TransformersFamily:
    """Repositories with a `config.json` beside weights as transformers names them."""

    name = "transformers"

    def matches(self, listing: RepoListing) -> bool:
        known = listing.by_path
        if "model_index.json" in known:  # a pipeline of several models
            return False
        weights = any(is_weights(file.path) and not file.path.folder for file in listing.files)
        return MODULES in known or ("config.json" in known and weights)

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        wanted = sorted(
            file.path
            for file in listing.files
            if file.path.suffix == ".safetensors"
            and is_weights(file.path)
            and _MODULE_FOLDER.fullmatch(file.path.folder)
        )
        return tuple(wanted) if len(wanted) <= MAX_HEADERS else ()

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        return _Description(Documents(listing, metadata)).findings()


@dataclass
class _Description:
    """Collects what is found of the one model that such a repository holds."""

    documents: Documents
    evidence: list[Evidence] = field(default_factory=list)
    warned: list[RepoWarning] = field(default_factory=list)

    @property
    def listing(self) -> RepoListing:
        return self.documents.listing

    @property
    def name(self) -> str:
        return repository_name(self.listing.repo.name)

    def findings(self) -> Findings:
        modules = read_modules(self.documents)
        model = self._model(modules) if modules is not None else None
        warnings = (*self.warned, *self.documents.warnings())
        return Findings((model,) if model else (), tuple(self.evidence), warnings)

    def _model(self, modules: Modules) -> Model | None:
        self.warned += modules.warnings()
        folder = modules.base
        config = model_config(self.documents, folder)
        tokenizer = self.documents.fields(inside(folder, "tokenizer_config.json"))
        template = chat_template(self.documents, folder, tokenizer)
        code = find_code(self.documents, folder, modules.classes)
        self.warned += code.warnings(self.listing)
        task = self._task(config, modules, template)
        if task is None:
            return None
        weights, problems = find_weights(self.documents, folder)
        self.warned += problems
        details = model_details(config, tokenizer)
        if template:
            details["chat_template"] = template
        if code.elsewhere:
            details["code_elsewhere"] = list(code.elsewhere)
        if task.task == EMBED:
            details |= self._embedding(config, tokenizer, modules)
        variants = _Variants(self, folder, config, modules, code).build(weights)
        if not variants:
            self._no_weights(folder, problems)
            return None
        self._note_model(task, config, details, template)
        return Model(
            name=self.name,
            task=task.task,
            category=find_task(task.task).category,
            architecture=config.text("model_type"),
            context_length=context_length(config),
            parameters=variants[0].parameters,
            details=details,
            variants=tuple(sorted(variants, key=lambda variant: (-variant.quality, variant.name))),
        )

    def _task(self, config: Fields, modules: Modules, template: str | None) -> TaskFinding | None:
        if not config:
            return None
        task = find_task_of(
            config, self.listing, modules=bool(modules.steps), template=template is not None
        )
        if task is None:
            names = ", ".join(config.texts("architectures")) or config.text("model_type") or "nothing"
            text = (
                f"{config.name} names {names}, and neither that nor the card says a task of modelhub's."
            )
            self.warn("task.unknown", text)
        return task

    def _embedding(self, config: Fields, tokenizer: Fields, modules: Modules) -> JsonDict:
        width = config.whole("hidden_size", "n_embd", "d_model", "dim")
        limits = (context_length(config), tokenizer_limit(tokenizer))
        details, problems = embedding_details(self.documents, modules, width, limits)
        self.warned += problems
        return details

    def _no_weights(self, folder: str, problems: Sequence[RepoWarning]) -> None:
        if not problems:
            where = folder or "its root"
            self.warn("weights.missing", f"There are no weights for transformers in {where}.")

    def _note_model(
        self, task: TaskFinding, config: Fields, details: JsonDict, template: str | None
    ) -> None:
        subject = f"model:{self.name}"
        self.note(subject, "task", task.task, task.evidence, task.trust)
        said: dict[str, JsonValue] = {
            "architecture": config.text("model_type"),
            "context_length": context_length(config),
            "quantization": details.get("quantization"),
        }
        for key, value in said.items():
            if value is not None:
                self.note(subject, key, value, config.name, FROM_CONFIG)
        if task.task == CHAT:
            self.note(subject, "chat_template", template is not None, "tokenizer", FROM_CONFIG)
            if template is None:
                text = (
                    f"{self.name} has no chat template: it continues texts, and holds no conversations."
                )
                self.warn("chat_template.missing", text)

    def warn(self, code: str, text: str) -> None:
        self.warned.append(RepoWarning(code=code, text=text))

    def note(self, subject: str, key: str, value: JsonValue, evidence: str, trust: int) -> None:
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)
        )


def tokenizer_limit(tokenizer: Fields) -> int | None:
    """Tokens of one text, by the tokenizer; one without a limit says 1e30."""
    limit = tokenizer.values.get("model_max_length")
    return limit if type(limit) is int and 0 < limit < 1 << 31 else None


@dataclass(frozen=True)
class _Variants:
    """Makes a variant of each set of weights."""

    to: _Description
    folder: str
    config: Fields
    modules: Modules
    code: Code

    def build(self, weights: Sequence[WeightSet]) -> list[Variant]:
        packed = quantization(self.config)
        precisions = [packed or self._precision(each) for each in weights]
        names = unique(
            _candidates(each, precision) for each, precision in zip(weights, precisions, strict=True)
        )
        return [
            self._variant(*each, self._parameters(each[1]))
            for each in zip(names, weights, precisions, strict=True)
        ]

    def _variant(
        self, name: str, weights: WeightSet, precision: Precision | None, parameters: int | None
    ) -> Variant:
        if precision:
            subject, source = f"variant:{self.to.name}:{name}", f"{weights.main}: dtypes"
            trust = FROM_HEADER if self._counts(weights) else FROM_CONFIG
            self.to.note(subject, "precision", precision.value, source, trust)
        more = module_files(self.to.documents, self.modules) if self.modules.steps else ()
        components = [
            self._component(
                "model", (*self._model_files(weights), *more), weights, precision, parameters
            ),
            self._component("tokenizer", tuple(self._tokenizer_files())),
            self._component("code", self.code.files(self.to.listing)),
        ]
        return Variant(
            name=name,
            format=self._format(weights, more),
            precision=precision and precision.value,
            parameters=parameters,
            components=tuple(component for component in components if component.files),
        )

    def _format(self, weights: WeightSet, more: Sequence[RepoFile]) -> str:
        """What a runtime must be able to read: one pickle among the files makes it pickles."""
        pickles = [file.path for file in more if file.path.suffix == ".bin"]
        if pickles and weights.format != PICKLED:
            text = f"{pickles[0]}: it is a pickle, which can run code when it is loaded. modelhub loads none."
            self.to.warn("format.pickle", text)
        return PICKLED if pickles else weights.format

    def _component(
        self,
        name: str,
        files: tuple[RepoFile, ...],
        weights: WeightSet | None = None,
        precision: Precision | None = None,
        parameters: int | None = None,
    ) -> Component:
        return Component(
            name=name,
            repo=self.to.listing.repo.id,
            commit=self.to.listing.commit,
            files=tuple(dict.fromkeys(files)),
            folder=self.folder if name != "code" else "",
            format=weights.format if weights else None,
            precision=precision and precision.value,
            parameters=parameters,
        )

    def _model_files(self, weights: WeightSet) -> Iterator[RepoFile]:
        yield from weights.files
        if weights.index:
            yield weights.index
        for name in ("config.json", "generation_config.json"):
            if file := self.to.listing.by_path.get(inside(self.folder, name)):
                yield file

    def _tokenizer_files(self) -> Iterator[RepoFile]:
        templates = inside(self.folder, "additional_chat_templates")
        for file in self.to.listing.files:
            here = file.path.folder in (self.folder, templates)
            if here and classify(file.path) is FileKind.TOKENIZER:
                yield file

    def _counts(self, weights: WeightSet) -> dict[str, int] | None:
        """Elements by dtype, all shards together; `None` unless each header was read."""
        counts: dict[str, int] = {}
        for file in weights.files:
            header = self.to.documents.metadata.safetensors(file.path)
            if header is None:
                return None
            for dtype, count in header.dtypes.items():
                counts[dtype] = counts.get(dtype, 0) + count
        return counts

    def _precision(self, weights: WeightSet) -> Precision | None:
        counts = self._counts(weights)
        if counts:
            return DTYPES[max(counts, key=lambda dtype: counts[dtype])][1]
        said = self.config.text("dtype", "torch_dtype") or ""
        return Precision.parse(weights.mark) or Precision.parse(said)

    def _parameters(self, weights: WeightSet) -> int | None:
        """Numbers that were learnt. Packed ones cannot be counted, and whole numbers are positions."""
        counts = self._counts(weights)
        if not counts or self.config.object("quantization_config"):
            return None
        return sum(count for dtype, count in counts.items() if DTYPES[dtype][1])


def _candidates(weights: WeightSet, precision: Precision | None) -> list[str]:
    """Candidates for a variant's name, the best first."""
    plain = precision.value if precision else None
    names = (plain, weights.mark.lower(), plain and f"{weights.format}-{plain}", weights.format)
    return [name for name in names if name]
