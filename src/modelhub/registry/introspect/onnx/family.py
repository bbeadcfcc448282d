"""Repositories with ONNX graphs: each precision a variant, its graphs and their weights one variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from modelhub.facts import Evidence, JsonValue, Model, RepoFile, RepoListing, RepoWarning
from modelhub.formats import ONNXHeader
from modelhub.refs import RepoPath
from modelhub.registry.introspect.architectures import CHAT, TaskFinding, said_task
from modelhub.registry.introspect.base import FROM_CONFIG, FROM_HEADER, FROM_NAME, Findings, Metadata
from modelhub.registry.introspect.class_tasks import find_tasks, subtask_of
from modelhub.registry.introspect.config import architecture, context_length
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.naming import repository_name, unique
from modelhub.registry.introspect.onnx.facts import graph_details, graph_names, header_evidence
from modelhub.registry.introspect.onnx.groups import GraphSet, Group, find_groups
from modelhub.registry.introspect.onnx.home import Home
from modelhub.registry.introspect.onnx.names import data_by_graph, is_graph
from modelhub.registry.introspect.onnx.tasks import task_by_graphs
from modelhub.registry.introspect.onnx.variants import Variants
from modelhub.registry.introspect.ranking import library_task
from modelhub.registry.introspect.weight_names import plain_name
from modelhub.tasks import find_task

__all__ = ["ONNXFamily"]

MAX_HEADERS = 32
MAX_MODELS = 256
MAX_VARIANTS = 64
"""Of one model."""
SMALL = 512 << 10
"""A file that is read besides those that are needed, to see whether its name is true."""

_PIPELINES = ("model_index.json", "modular_model_index.json")


class ONNXFamily:
    """Repositories with ONNX graphs, for onnxruntime and what is built on it."""

    name = "onnx"

    def matches(self, listing: RepoListing) -> bool:
        pipeline = any(name in listing.by_path for name in _PIPELINES)
        return not pipeline and any(map(is_graph, listing.files))

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        """Of each model the graphs whose names do not say a precision, or its best; then small ones."""
        wanted: list[RepoFile] = []
        small: list[RepoFile] = []
        for group in find_groups(listing)[:MAX_MODELS]:
            sets = group.sets()
            first = [each for each in sets if not each.mark] or [max(sets, key=_quality)]
            wanted += [file for each in first for file in each.parts.values()]
            small += [file for each in sets for file in each.parts.values() if file.size <= SMALL]
        return tuple(dict.fromkeys(file.path for file in (*wanted, *small)))[:MAX_HEADERS]

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        return _Description(Documents(listing, metadata)).findings()


Read = Mapping[str, tuple[RepoPath, ONNXHeader]]
"""Headers with their files, by the part that they are."""


@dataclass
class _Description:
    """Collects what is found, model by model."""

    documents: Documents
    models: list[Model] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    warned: list[RepoWarning] = field(default_factory=list)

    @property
    def listing(self) -> RepoListing:
        return self.documents.listing

    def findings(self) -> Findings:
        groups = find_groups(self.listing)
        self._warn_of_many(len(groups), MAX_MODELS, "ONNX models")
        groups = groups[:MAX_MODELS]
        for name, group in zip(_model_names(self.listing, groups), groups, strict=True):
            self._describe(name, group, alone=len(groups) == 1)
        warnings = (*self.warned, *self.documents.warnings())
        return Findings(tuple(self.models), tuple(self.evidence), warnings)

    @cached_property
    def _data(self) -> dict[str, list[RepoFile]]:
        return data_by_graph(self.listing.files)

    @cached_property
    def _folders(self) -> dict[str, list[RepoFile]]:
        folders: dict[str, list[RepoFile]] = {}
        for file in self.listing.files:
            folders.setdefault(file.path.folder, []).append(file)
        return folders

    def _describe(self, name: str, group: Group, *, alone: bool) -> None:
        sets = group.sets()
        self._warn_of_many(len(sets), MAX_VARIANTS, f"variants of {name}")
        sets = sets[:MAX_VARIANTS]
        owned = alone or not group.graph
        home = Home(self.documents, self._folders, group.base, sets[0], owned=owned)
        read = self._read(sets)
        tasks = self._tasks(name, home, read) or self._stated(sets)
        if not tasks:
            self._note_unknown(name, read)
            return
        task = tasks[0].task
        made = Variants(self.documents, name, lambda graphs: home.of(graphs).beside(), self._data)
        variants = made.build(sets)
        self.evidence += made.evidence
        self.warned += made.warnings
        if not variants:
            return
        self._note_model(name, home, read, task)
        config = home.config
        self.models.append(
            Model(
                name=name,
                task=task,
                subtask=subtask_of(tasks),
                category=find_task(task).category,
                architecture=architecture(config) if config else None,
                context_length=context_length(config) if config else None,
                parameters=max((each.parameters or 0 for each in variants), default=0) or None,
                details=home.details(task) | graph_details(read),
                variants=variants,
            )
        )
        self.warned += home.warned

    def _read(self, sets: Sequence[GraphSet]) -> dict[str, tuple[RepoPath, ONNXHeader]]:
        """The headers of one variant by part, and their files: of that of which most were read."""
        headers = self.documents.metadata.onnx
        found = [
            {
                part: (file.path, header)
                for part, file in each.parts.items()
                if (header := headers(file.path))
            }
            for each in sets
        ]
        return max(found, key=len)

    def _tasks(self, name: str, home: Home, read: Read) -> tuple[TaskFinding, ...]:
        """What is said of its task: first what counts; nothing where nothing says it."""
        seen = task_by_graphs(dict(read.values()))
        found = (*self._said(home), *((seen,) if seen else ()))
        for each in found:
            self._note(name, "task", each.task, each.evidence, each.trust)
        return found

    def _stated(self, sets: Sequence[GraphSet]) -> tuple[TaskFinding, ...]:
        """What a recipe says that one of these graphs is for."""
        stated = self.documents.metadata.stated
        return tuple(stated[each.path] for each in sets if each.path in stated)[:1]

    def _said(self, home: Home) -> tuple[TaskFinding, ...]:
        """By `config.json`, else by the card."""
        config = home.config
        if config is None:
            said = said_task(self.listing)
            return (said,) if said else ()
        library = library_task(self.documents, home.modules, config)
        return find_tasks(config, self.listing, library=library, template=home.template is not None)

    def _note_unknown(self, name: str, read: Read) -> None:
        graphs = graph_names(header for _, header in read.values())
        evidence = f"neither config.json, the card nor its graphs: {graphs or 'none was read'}"
        self._note(name, "task", None, evidence, FROM_HEADER if read else FROM_NAME)
        told = f"; it takes and gives: {graphs}" if graphs else ""
        text = f"{name} is an ONNX model of which nothing says what it is for{told}."
        self._warn("task.unknown", text)

    def _note_model(self, name: str, home: Home, read: Read, task: str) -> None:
        for path, header in read.values():
            self.evidence += header_evidence(f"model:{name}", path, header)
        config = home.config
        if config and (kind := architecture(config)):
            self._note(name, "architecture", kind, config.name, FROM_CONFIG)
        if task == CHAT:
            found = home.template is not None
            self._note(name, "chat_template", found, "the tokenizer's files", FROM_CONFIG)
            if not found:
                text = f"{name} has no chat template: it continues texts, and holds no conversations."
                self._warn("chat_template.missing", text)

    def _warn_of_many(self, count: int, most: int, what: str) -> None:
        if count > most:
            text = f"It holds {count:,} {what}; the first {most} are described."
            self._warn("graphs.many", text)

    def _warn(self, code: str, text: str) -> None:
        self.warned.append(RepoWarning(code=code, text=text))

    def _note(self, name: str, key: str, value: JsonValue, evidence: str, trust: int) -> None:
        subject = f"model:{name}"
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)
        )


def _quality(graphs: GraphSet) -> int:
    precision = graphs.names[graphs.main].precision
    return precision.quality if precision else 0


def _model_names(listing: RepoListing, groups: Sequence[Group]) -> list[str]:
    """A name for each: the repository's where there is one model, or for the one whose graphs are
    named after their parts; else what tells them apart.
    """
    repository = repository_name(listing.repo.name)
    if len(groups) == 1:
        return [repository]
    return unique(
        [plain_name(group.graph or group.base) or repository, plain_name(f"{group.base}-{group.graph}")]
        for group in groups
    )
