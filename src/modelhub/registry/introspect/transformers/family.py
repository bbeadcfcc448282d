"""Repositories that the transformers library opens: each precision a variant, its shards one variant."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from modelhub.facts import Evidence, JsonDict, JsonValue, Model, RepoListing, RepoWarning, Variant
from modelhub.refs import RepoPath
from modelhub.registry.introspect.architectures import CHAT, EMBED, RANK, TaskFinding
from modelhub.registry.introspect.base import FROM_CONFIG, Findings, Metadata
from modelhub.registry.introspect.class_tasks import find_tasks, subtask_of
from modelhub.registry.introspect.classes import taskless
from modelhub.registry.introspect.code import Code, find_code
from modelhub.registry.introspect.config import (
    architecture,
    chat_template,
    context_length,
    model_config,
    model_details,
    task_details,
    tokenizer_limit,
)
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.embedding import (
    MODULES,
    Modules,
    embedding_details,
    module_files,
    read_modules,
)
from modelhub.registry.introspect.generation import generation_details
from modelhub.registry.introspect.naming import repository_name
from modelhub.registry.introspect.quantization import find_packing, packing_details
from modelhub.registry.introspect.ranking import library_task, ranking_details
from modelhub.registry.introspect.transformers.variants import Variants
from modelhub.registry.introspect.weights import (
    TRANSFORMERS,
    find_weights,
    first_headers,
    inside,
    is_weights,
    pickle_warnings,
)
from modelhub.tasks import find_task

__all__ = ["TransformersFamily"]

MAX_HEADERS = 64

_MODULE_FOLDER = re.compile(r"\d{1,2}_\w+|")


class TransformersFamily:
    """Repositories with a `config.json` beside weights as transformers names them."""

    name = "transformers"

    def matches(self, listing: RepoListing) -> bool:
        known = listing.by_path
        if "model_index.json" in known:  # a pipeline of several models
            return False
        weights = any(
            is_weights(file.path, TRANSFORMERS) and not file.path.folder for file in listing.files
        )
        return MODULES in known or ("config.json" in known and weights)

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        here = [file.path for file in listing.files if _MODULE_FOLDER.fullmatch(file.path.folder)]
        return first_headers(here, TRANSFORMERS)[:MAX_HEADERS]

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        return _Description(Documents(listing, metadata)).findings()


@dataclass
class _Description:
    """Collects what is found of the one model that such a repository holds."""

    documents: Documents
    evidence: list[Evidence] = field(default_factory=list)
    warned: list[RepoWarning] = field(default_factory=list)

    @property
    def name(self) -> str:
        return repository_name(self.documents.listing.repo.name)

    def findings(self) -> Findings:
        modules = read_modules(self.documents)
        model = self._model(modules) if modules else None
        warnings = (*self.warned, *self.documents.warnings())
        return Findings((model,) if model else (), tuple(self.evidence), warnings)

    def _model(self, modules: Modules) -> Model | None:
        folder = modules.base
        config = model_config(self.documents, folder)
        tokenizer = self.documents.fields(inside(folder, "tokenizer_config.json"))
        code = find_code(self.documents, folder, modules.classes)
        self.warned += [*modules.warnings(), *code.warnings(self.documents.listing)]
        if config is None:
            return None
        template = chat_template(self.documents, folder, tokenizer)
        tasks = self._tasks(config, modules, template)
        variants = self._variants(config, modules, code) if tasks else ()
        if not variants:
            return None
        task, subtask = tasks[0].task, subtask_of(tasks)
        details = self._details(folder, config, tokenizer, code, template) | task_details(task, config)
        if task == RANK:
            details |= ranking_details(self.documents, config)
        if task == EMBED:
            limits = (context_length(config), tokenizer_limit(tokenizer))
            details |= self._embedding(modules, details.get("embedding_length"), limits)
        self._note_model(task, config, details)
        return Model(
            name=self.name,
            task=task,
            subtask=subtask,
            category=find_task(task).category,
            architecture=architecture(config),
            context_length=context_length(config),
            parameters=max((each.parameters or 0 for each in variants), default=0) or None,
            details=details,
            variants=variants,
        )

    def _tasks(self, config: Fields, modules: Modules, template: str | None) -> tuple[TaskFinding, ...]:
        """What is said of its task: first what counts; nothing, which is told, where nothing says it."""
        found = find_tasks(
            config,
            self.documents.listing,
            library=library_task(self.documents, modules, config),
            template=template is not None,
        )
        for each in found:
            self._note("task", each.task, each.evidence, each.trust)
        if not found:
            self._warn("task.unknown", _unknown(config))
        return found

    def _variants(self, config: Fields, modules: Modules, code: Code) -> tuple[Variant, ...]:
        found = find_weights(self.documents, modules.base, TRANSFORMERS)
        self.warned += [*found.warnings, *pickle_warnings(found.sets)]
        if not found.sets and not found.warnings:
            where = modules.base or "the repository's root"
            self._warn("weights.missing", f"In {where} there are no weights for transformers.")
        beside = module_files(self.documents, modules)
        own_code = code.files(self.documents.listing)
        made = Variants(self.documents, self.name, modules.base, config, beside, own_code)
        variants = made.build(found.sets)
        self.evidence += made.evidence
        self.warned += made.warnings
        return variants

    def _details(
        self, folder: str, config: Fields, tokenizer: Fields, code: Code, template: str | None
    ) -> JsonDict:
        details = model_details(config, tokenizer)
        details |= packing_details(find_packing(self.documents, config))
        if settings := generation_details(self.documents, folder):
            details["generation"] = settings
        if template is not None:
            details["chat_template"] = template
        if code.elsewhere:
            details["code_elsewhere"] = list(code.elsewhere)
        return details

    def _embedding(self, modules: Modules, width: JsonValue, limits: Sequence[int | None]) -> JsonDict:
        width = width if isinstance(width, int) else None
        details, problems = embedding_details(self.documents, modules, width, limits)
        self.warned += problems
        return details

    def _note_model(self, task: str, config: Fields, details: JsonDict) -> None:
        said: dict[str, JsonValue] = {
            "architecture": architecture(config),
            "context_length": context_length(config),
            "quantization": details.get("quantization"),
        }
        for key, value in said.items():
            if value is not None:
                self._note(key, value, config.name, FROM_CONFIG)
        if task == CHAT:
            self._note_template("chat_template" in details)
        if task == EMBED:
            self._note("pooling", details["pooling"], MODULES, FROM_CONFIG)

    def _note_template(self, found: bool) -> None:
        self._note("chat_template", found, "the tokenizer's files", FROM_CONFIG)
        if not found:
            text = f"{self.name} has no chat template: it continues texts, and holds no conversations."
            self._warn("chat_template.missing", text)

    def _warn(self, code: str, text: str) -> None:
        self.warned.append(RepoWarning(code=code, text=text))

    def _note(self, key: str, value: JsonValue, evidence: str, trust: int) -> None:
        subject = f"model:{self.name}"
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)
        )


def _unknown(config: Fields) -> str:
    names = config.texts("architectures")
    for name in names:
        if what := taskless(name):
            return f"{config.name} names {name}, which {what}: no task of modelhub's, and the card names none."
    shown = ", ".join(names) or architecture(config) or "no model"
    return f"{config.name} names {shown}, and neither that nor the card names a task of modelhub's."
