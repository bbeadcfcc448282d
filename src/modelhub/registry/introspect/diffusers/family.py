"""Repositories that the diffusers library opens: one pipeline, each of its parts a component."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from modelhub.facts import (
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
from modelhub.facts.base import human_bytes
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import FROM_CONFIG, FROM_NAME, Findings, Metadata
from modelhub.registry.introspect.code import Code
from modelhub.registry.introspect.diffusers.details import (
    architecture,
    find_pipeline_code,
    pipeline_details,
    place,
)
from modelhub.registry.introspect.diffusers.index import INDEX, MODULAR, Index, read_index
from modelhub.registry.introspect.diffusers.parts import DENOISER, Holding, find_holdings
from modelhub.registry.introspect.diffusers.tasks import PipelineTask, find_pipeline_task
from modelhub.registry.introspect.diffusers.variants import Variants
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.files import classify
from modelhub.registry.introspect.naming import repository_name
from modelhub.registry.introspect.weights import (
    DIFFUSERS,
    MAX_SHARDS_READ,
    TRANSFORMERS,
    is_weights,
    sets_by_name,
)
from modelhub.tasks import find_task

__all__ = ["DiffusersFamily"]

MAX_HEADERS = 64
MAX_TOLD = 100
"""Of weights that are no part of the pipeline, how many get a fact each."""

_CONFIGS = (INDEX, MODULAR, "modular_config.json")


class DiffusersFamily:
    """Repositories with an index of a pipeline's parts."""

    name = "diffusers"

    def matches(self, listing: RepoListing) -> bool:
        return INDEX in listing.by_path or MODULAR in listing.by_path

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        """One of each set of weights, then the rest of those that can be read whole: denoisers', small ones."""
        paths = [file.path for file in listing.files if file.path.suffix == ".safetensors"]
        sets = [each for naming in (DIFFUSERS, TRANSFORMERS) for each in sets_by_name(paths, naming)]
        sets.sort(key=lambda each: (not DENOISER.fullmatch(each[0].folder), len(each), each[0]))
        wanted = [each[0] for each in sets][:MAX_HEADERS]
        for each in sets:
            if len(each) <= MAX_SHARDS_READ and len(wanted) + len(each) - 1 <= MAX_HEADERS:
                wanted += each[1:]
        return tuple(wanted)

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        return _Description(Documents(listing, metadata)).findings()


@dataclass
class _Description:
    """Collects what is found of the one pipeline that such a repository holds."""

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
        index = read_index(self.documents)
        model = self._model(index) if index else None
        warnings = (*self.warned, *self.documents.warnings())
        return Findings((model,) if model else (), tuple(self.evidence), warnings)

    def _model(self, index: Index) -> Model | None:
        code = find_pipeline_code(self.documents, index)
        self.warned += [*code.warnings(self.listing), *(each.warning() for each in index.elsewhere)]
        task = self._task(index)
        holdings, problems = find_holdings(self.documents, index.parts)
        self.warned += problems
        self._note_others(holdings or ())
        if task is None or holdings is None or not (holdings or index.elsewhere):
            return None
        variants = self._variants(holdings, code)
        if not variants:
            return None
        self._note_model(index, task)
        return Model(
            name=self.name,
            task=task.task,
            subtask=task.subtask,
            category=find_task(task.task).category,
            architecture=architecture(holdings),
            parameters=max((each.parameters or 0 for each in variants), default=0) or None,
            details=pipeline_details(index, variants[0], code),
            variants=variants,
        )

    def _task(self, index: Index) -> PipelineTask | None:
        task = find_pipeline_task(index.type, index.path, self.listing)
        if task is None:
            what = index.type or "no class"
            why = f"{index.path} names {what}, and neither that nor the card names a task of modelhub's"
            self._note("task", None, why, FROM_CONFIG)
            self._warn("task.unknown", f"{why}.")
        return task

    def _variants(self, holdings: Sequence[Holding], code: Code) -> tuple[Variant, ...]:
        known = self.listing.by_path
        files = tuple(known[path] for path in _CONFIGS if path in known)
        made = Variants(self.documents, self.name, files, code.files(self.listing))
        variants = made.build(holdings)
        self.evidence += made.evidence
        self.warned += made.warnings
        return variants

    def _note_others(self, holdings: Iterable[Holding]) -> None:
        """Weights at the root that no part has: whole models in one file, which nothing here takes."""
        used = {file.path for each in holdings for set_ in each.weights.sets for file in set_.files}
        files = [f for f in self.documents.files_in("") if _is_single(f) and f.path not in used]
        for file in files[:MAX_TOLD]:
            row = Evidence(
                subject=f"file:{file.path}",
                key="role",
                value="single-file checkpoint",
                evidence=f"weights at the root, beside {INDEX}",
                trust=FROM_NAME,
            )
            self.evidence.append(row)
        if files:
            names = ", ".join(file.path for file in files[:5]) + ("…" if len(files) > 5 else "")
            size = human_bytes(sum(file.size for file in files))
            text = f"{names} ({size}) beside the pipeline's folders: no part of it, and not fetched with it."
            self._warn("weights.beside", text)

    def _note_model(self, index: Index, task: PipelineTask) -> None:
        self._note("task", task.task, task.evidence, task.trust)
        if task.subtask:
            self._note("subtask", task.subtask, task.evidence, task.trust)
        if index.type:
            self._note("pipeline_class", index.type, f"{index.path}: _class_name", FROM_CONFIG)
        for each in index.elsewhere:
            where: JsonDict = {"component": each.name, **place(each)}
            self._note("component_elsewhere", where, index.path, FROM_CONFIG)

    def _warn(self, code: str, text: str) -> None:
        self.warned.append(RepoWarning(code=code, text=text))

    def _note(self, key: str, value: JsonValue, evidence: str, trust: int) -> None:
        subject = f"model:{self.name}"
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)
        )


def _is_single(file: RepoFile) -> bool:
    """Whether a file may hold a whole model, and is none of another family's."""
    other = file.path.suffix in (".gguf", ".onnx") or is_weights(file.path, TRANSFORMERS)
    return classify(file.path) is FileKind.MODEL and not other
