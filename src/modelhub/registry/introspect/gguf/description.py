"""From GGUF files and their headers to models: what runs, what goes with it, what says so."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice

from modelhub.facts import Evidence, JsonDict, JsonValue, Model, RepoFile, RepoListing, RepoWarning
from modelhub.formats import GGUFHeader
from modelhub.registry.introspect.architectures import CHAT, EMBED, RANK, find_gguf_task, has_head
from modelhub.registry.introspect.base import FROM_HEADER, FROM_NAME, Findings, Metadata
from modelhub.registry.introspect.gguf.base_models import (
    base_models,
    base_row,
    quantized_from,
    quantized_row,
)
from modelhub.registry.introspect.gguf.drafts import DRAFT, draft_evidence, is_draft_of
from modelhub.registry.introspect.gguf.groups import (
    MAX_MODELS,
    MAX_WEIGHTS,
    Weights,
    count_models,
    gguf_files,
    group_by_model,
)
from modelhub.registry.introspect.gguf.projectors import (
    MAX_PROJECTORS,
    PROJECTOR,
    best_projector,
    modalities,
    projector_types,
)
from modelhub.registry.introspect.gguf.variants import Variants
from modelhub.registry.introspect.gguf_header import (
    embedding_details,
    header_evidence,
    model_details,
    plain_architecture,
    plausible,
    role_by_header,
)
from modelhub.registry.introspect.naming import repository_name, unique
from modelhub.registry.introspect.weight_names import plain_name, role_by_name
from modelhub.tasks import find_task

__all__ = ["Description"]

MAX_TOLD = 50

Groups = dict[tuple[str, str], list[Weights]]
"""The quantizations of each model, by its folder and name."""


class Description:
    """Collects what is found, model by model."""

    def __init__(self, listing: RepoListing, metadata: Metadata) -> None:
        self.listing = listing
        self.metadata = metadata
        self.models: list[Model] = []
        self.evidence: list[Evidence] = []
        self.warnings: list[RepoWarning] = []

    def findings(self) -> Findings:
        """All of it."""
        named = (file for file in self.listing.files if file.path.suffix == ".gguf")
        roles = ((file, role) for file in named if (role := role_by_name(file.path)))
        for file, role in islice(roles, MAX_WEIGHTS):
            self._note(f"file:{file.path}", "role", role, "file name", FROM_NAME)
        if (count := count_models(self.listing)) > MAX_MODELS:
            text = f"It holds {count:,} models in GGUF; the first {MAX_MODELS} are described."
            self._warn("models.many", text)
        drafts = self._drafts(self._models)
        offered = {key: weights for key, weights in self._models.items() if key not in drafts}
        for name, weights in zip(_model_names(self.listing, offered), offered.values(), strict=True):
            self._describe(name, weights)
        for key in drafts:
            self._describe_draft(self._models[key])
        if offered:
            self.evidence += quantized_row(self.listing)
        return Findings(tuple(self.models), tuple(self.evidence), tuple(self.warnings))

    @cached_property
    def _groups(self) -> Groups:
        """The quantizations of which every shard is here."""
        groups = {key: self._whole(weights) for key, weights in group_by_model(self.listing).items()}
        return {key: weights for key, weights in groups.items() if weights}

    @cached_property
    def _models(self) -> Groups:
        """Those that are models by themselves; what the others are is noted."""
        models: Groups = {}
        for key, weights in self._groups.items():
            role = role_by_header(self._header(main := self._main(weights)))
            if role is None:
                models[key] = weights
            else:
                for each in weights:
                    source = f"{main.first}: header"
                    self._note(f"file:{each.first}", "role", role, source, FROM_HEADER)
        return models

    @cached_property
    def _projectors(self) -> list[RepoFile]:
        """By name, and by header."""
        found = gguf_files(self.listing, role=PROJECTOR)
        for weights in self._groups.values():
            if role_by_header(self._header(self._main(weights))) == PROJECTOR:
                found += [each.files[0] for each in weights]
        return found[:MAX_PROJECTORS]

    def _drafts(self, groups: Groups) -> list[tuple[str, str]]:
        """Those that are there for another one; a repository of nothing else offers them."""
        found = []
        for key, weights in groups.items():
            main = self._main(weights)
            said = draft_evidence(main.first, self._header(main), self.listing)
            if said is not None:
                found.append(key)
                for each in weights:
                    self._note(f"file:{each.first}", "role", DRAFT, *said)
        return found if len(found) < len(groups) else []

    def _describe_draft(self, weights: list[Weights]) -> None:
        """Which of the models it is for: those with the same tokens, where that is known."""
        header = self._header(self._main(weights))
        source = ("same tokenizer", FROM_HEADER) if header else ("same repository", FROM_NAME)
        served = [model for model in self.models if is_draft_of(header, self._header_of(model))]
        for each in weights:
            for model in served:
                evidence = f"{each.first}: {source[0]}"
                self._note(f"file:{each.first}", "draft_for", model.name, evidence, source[1])

    def _header_of(self, model: Model) -> GGUFHeader | None:
        paths = (file.path for variant in model.variants for _, file in variant.files())
        return next(filter(None, map(self.metadata.gguf, paths)), None)

    def _describe(self, name: str, weights: list[Weights]) -> None:
        main = self._main(weights)
        header = self._header(main)
        task = find_gguf_task(header, self.listing)
        self._note(f"model:{name}", "task", task.task, task.evidence, task.trust)
        if header:
            self.evidence += header_evidence(f"model:{name}", main.first, header)
            self.evidence += base_row(f"model:{name}", main.first, header)
            self._warn_of(main, header, task.task)
        self.models.append(self._model(name, task.task, weights, main))

    def _warn_of(self, main: Weights, header: GGUFHeader, task: str) -> None:
        if task == CHAT and not header.chat_template:
            text = f"{main.first} has no chat template; answers follow a generic one."
            self._warn("chat_template.missing", text)
        if task == RANK and not has_head(header):
            text = f"{main.first} has no head that scores; engines that need one cannot rank with it."
            self._warn("head.missing", text)
        if task == EMBED and "pooling" not in model_details(header):
            assumed = embedding_details(header)["pooling"]
            text = f"{main.first} does not say how it pools; modelhub takes: {assumed}."
            self._warn("pooling.assumed", text)

    def _model(self, name: str, task: str, weights: list[Weights], main: Weights) -> Model:
        header = self._header(main)
        projectors = self._projectors_for(task, weights)
        variants = Variants(self.listing, self.metadata, name, projectors, self.evidence, self.warnings)
        found = variants.of(weights, main)
        return Model(
            name=name,
            task=task,
            category=find_task(task).category,
            architecture=plain_architecture(header),
            context_length=plausible(header.context_length) if header else None,
            parameters=variants.parameters(main),
            details=self._details(name, header, task, projectors.values()),
            variants=found,
        )

    def _projectors_for(self, task: str, weights: list[Weights]) -> dict[str, RepoFile]:
        """The projector of each quantization, by its first file."""
        if task not in (CHAT, EMBED, RANK):
            return {}
        models = {model for _, model in self._models}
        found = {each.first: best_projector(self._projectors, each, models) for each in weights}
        return {path: file for path, file in found.items() if file}

    def _details(
        self, name: str, header: GGUFHeader | None, task: str, projectors: Iterable[RepoFile]
    ) -> JsonDict:
        found: JsonDict = {}
        if header:
            found |= model_details(header) | (embedding_details(header) if task == EMBED else {})
            if bases := base_models(header):
                found["base_model"] = list(bases)
        if made_of := quantized_from(self.listing):
            found["quantized_from"] = list(made_of)
        found.update(self._senses(name, projectors))
        return found

    def _senses(self, name: str, projectors: Iterable[RepoFile]) -> Iterator[tuple[str, JsonValue]]:
        """What the model takes besides text, by the headers of its projectors."""
        headers = {file.path: self.metadata.gguf(file.path) for file in projectors}
        for path, header in headers.items():
            if header and (takes := modalities(header)):
                value: JsonValue = ["text", *takes]
                self._note(f"model:{name}", "modalities", value, f"{path}: header", FROM_HEADER)
                yield "modalities", value
                yield "projector_types", list(projector_types(header))
                return

    def _main(self, weights: Sequence[Weights]) -> Weights:
        """The one whose header says what the model is."""
        return min(weights, key=lambda each: (self._header(each) is None, each.size))

    def _whole(self, weights: Sequence[Weights]) -> list[Weights]:
        """Those whose shards are all here; a warning for each other."""
        whole = []
        for each in weights:
            header = self._header(each)
            if each.missing:
                more = "…" if each.missing > len(each.first_missing) else ""
                some = ", ".join(map(str, each.first_missing)) + more
                problem = f"{each.missing} of {each.name.shards} shards are missing ({some})"
            elif header and header.split_count != len(each.files):
                problem = f"its header says it is one of {header.split_count} shards"
            else:
                whole.append(each)
                continue
            if len(self.warnings) < MAX_TOLD:
                self._warn("shards.missing", f"{each.first}: {problem}; the variant is left out.")
        return whole

    def _header(self, weights: Weights) -> GGUFHeader | None:
        return self.metadata.gguf(weights.first)

    def _note(self, subject: str, key: str, value: JsonValue, evidence: str, trust: int) -> None:
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)
        )

    def _warn(self, code: str, text: str) -> None:
        self.warnings.append(RepoWarning(code=code, text=text))


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
