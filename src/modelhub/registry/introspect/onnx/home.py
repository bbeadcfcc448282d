"""What stands beside graphs: the configuration, tokenizer and processor of their model."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from modelhub.facts import Component, JsonDict, RepoFile, RepoWarning
from modelhub.registry.introspect.architectures import EMBED, RANK
from modelhub.registry.introspect.config import (
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
    read_modules,
)
from modelhub.registry.introspect.files import TEMPLATES, is_processor, tokenizer_files
from modelhub.registry.introspect.generation import generation_details
from modelhub.registry.introspect.onnx.groups import GraphSet
from modelhub.registry.introspect.quantization import find_packing, packing_details
from modelhub.registry.introspect.ranking import ranking_details
from modelhub.registry.introspect.weights import inside

__all__ = ["Home"]

_CONFIG = re.compile(r"(?:config|generation_config|genai_config)\.json")


@dataclass
class Home:
    """The folder that describes the model of some graphs: theirs, else that of the model, else the root.

    `files` are the repository's by folder, `base` is the model's folder. `owned` is whether the small files of those folders are this model's: not where several models lie
    together, of which nothing says whose they are. `warned` is what `details` found wrong.
    """

    documents: Documents
    files: Mapping[str, Sequence[RepoFile]]
    base: str
    graphs: GraphSet
    owned: bool
    warned: list[RepoWarning] = field(default_factory=list)

    def of(self, graphs: GraphSet) -> "Home":
        """That of another variant of the same model."""
        return self if graphs.folder == self.graphs.folder else replace(self, graphs=graphs)

    @cached_property
    def folder(self) -> str:
        """Where it is, `""` being the root."""
        known = self.documents.listing.by_path
        for folder in (self.graphs.folder, self.base):
            names = ("config.json", "genai_config.json", "tokenizer_config.json", "tokenizer.json")
            if any(inside(folder, name) in known for name in names):
                return folder
        return ""

    @cached_property
    def config(self) -> Fields | None:
        """`config.json`, where there is one that can be read."""
        there = inside(self.folder, "config.json") in self.documents.listing.by_path
        return model_config(self.documents, self.folder) if self.owned and there else None

    @cached_property
    def tokenizer(self) -> Fields:
        """The tokenizer's configuration; an empty one without it."""
        return self.documents.fields(inside(self.folder, "tokenizer_config.json"))

    @cached_property
    def template(self) -> str | None:
        """What turns messages into a prompt."""
        return chat_template(self.documents, self.folder, self.tokenizer) if self.owned else None

    @cached_property
    def modules(self) -> Modules:
        """The steps of a sentence embedder; none for other models."""
        there = self.owned and not self.base and MODULES in self.documents.listing.by_path
        return (read_modules(self.documents) if there else None) or Modules()

    def beside(self) -> tuple[Component, ...]:
        """Components that go with the graphs."""
        if not self.owned:
            return ()
        here = self.files.get(self.folder, [])
        templates = self.files.get(inside(self.folder, TEMPLATES), [])
        made = (
            self._component("config", _named(here, _CONFIG)),
            self._component("processor", filter(is_processor, here)),
            self._component("tokenizer", tokenizer_files((*here, *templates), self.folder)),
        )
        return tuple(part for part in made if part.files)

    def details(self, task: str) -> JsonDict:
        """What runtimes need beyond the graphs."""
        if self.config is None:
            return {}
        details = model_details(self.config, self.tokenizer) | task_details(task, self.config)
        details |= packing_details(find_packing(self.documents, self.config))
        if settings := generation_details(self.documents, self.folder):
            details["generation"] = settings
        if task == RANK:
            details |= ranking_details(self.documents, self.config)
        if self.template is not None:
            details["chat_template"] = self.template
        if task == EMBED and self.modules.steps:
            details |= self._embedding(self.config, details)
        return details

    def _embedding(self, config: Fields, details: JsonDict) -> JsonDict:
        width = details.get("embedding_length")
        limits = (context_length(config), tokenizer_limit(self.tokenizer))
        found, problems = embedding_details(
            self.documents, self.modules, width if isinstance(width, int) else None, limits
        )
        self.warned += problems
        return found

    def _component(self, name: str, files: Iterable[RepoFile]) -> Component:
        listing = self.documents.listing
        return Component(
            name=name,
            repo=listing.repo.id,
            commit=listing.commit,
            files=tuple(files),
            folder=self.folder,
        )


def _named(files: Iterable[RepoFile], pattern: re.Pattern[str]) -> Iterator[RepoFile]:
    return (file for file in files if pattern.fullmatch(file.path.name))
