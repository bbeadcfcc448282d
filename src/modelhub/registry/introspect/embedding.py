"""How a repository turns texts into vectors, as the sentence-transformers library writes it down.

`modules.json` lists what the text goes through, each with a folder of its own. Modes of pooling and
their old spellings: `sentence_transformers/sentence_transformer/modules/pooling.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from modelhub.errors import UnsafePath
from modelhub.facts import JsonDict, JsonValue, RepoFile, RepoWarning
from modelhub.refs import RepoPath
from modelhub.registry.introspect.documents import Documents, Fields, is_plain
from modelhub.registry.introspect.weights import inside

__all__ = ["MODULES", "Module", "Modules", "embedding_details", "module_files", "read_modules"]

MODULES = "modules.json"
MAX_MODULES = 32
MAX_PROMPTS = 200
MAX_PROMPT = 10_000

POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Modes by the flag that named them once; several together stand one behind the other in this order."""

_OURS = "sentence_transformers."
_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize")
_LENGTHS = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
    "sentence_albert_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json",
)


@dataclass(frozen=True, slots=True)
class Module:
    """One step from text to vector: its class by its last word (whole, when it is not the library's)
    and its folder.
    """

    type: str
    path: str

    @property
    def known(self) -> bool:
        """Whether modelhub knows what it does."""
        return self.type in _KNOWN


@dataclass(frozen=True, slots=True)
class Modules:
    """The steps in order; none, where a repository does not list them."""

    steps: tuple[Module, ...] = ()

    @property
    def base(self) -> str:
        """The folder of the transformer."""
        return next((step.path for step in self.steps if step.type == "Transformer"), "")

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes that are not the library's: somebody's code."""
        return tuple(step.type for step in self.steps if "." in step.type)

    def of(self, kind: str) -> Iterator[Module]:
        """Those of one type."""
        return (step for step in self.steps if step.type == kind)

    def warnings(self) -> Iterator[RepoWarning]:
        """What about them modelhub does not know."""
        if unknown := sorted({step.type for step in self.steps if not step.known}):
            text = f"{MODULES} has {', '.join(unknown)}, of which modelhub does not know what it does."
            yield RepoWarning(code="modules.unknown", text=text)


def read_modules(documents: Documents) -> Modules | None:
    """What `modules.json` lists; `None` where it is there and cannot be believed."""
    found = documents.json(MODULES)
    if found is None:
        return None if MODULES in documents.listing.by_path else Modules()
    if not isinstance(found, list) or not 0 < len(found) <= MAX_MODULES:
        documents.tell(f"{MODULES}: it is no list of 1 to {MAX_MODULES} modules")
        return None
    steps = [_module(documents, number, each) for number, each in enumerate(found)]
    return Modules(tuple(step for step in steps if step)) if all(steps) else None


def _module(documents: Documents, number: int, value: Any) -> Module | None:
    if not isinstance(value, dict):
        documents.tell(f"{MODULES}: module {number} is no object")
        return None
    fields = Fields(f"{MODULES}: module {number}", value, documents.tell)
    kind, path = fields.text("type"), fields.text("path") or ""
    if kind is None:
        documents.tell(f"{MODULES}: module {number} has no type")
        return None
    try:
        folder = RepoPath(path.rstrip("/")) if path.rstrip("/") else ""
    except UnsafePath as error:
        documents.tell(f"{MODULES}: module {number}: {error.message}")
        return None
    return Module(kind.rpartition(".")[2] if kind.startswith(_OURS) else kind, folder)


def module_files(documents: Documents, modules: Modules) -> tuple[RepoFile, ...]:
    """The files of the steps behind the transformer: configurations, and safetensors or else pickles."""
    listing = documents.listing.by_path
    paths = [MODULES, "config_sentence_transformers.json"]
    paths += [inside(modules.base, name) for name in _LENGTHS]
    for step in modules.steps:
        if step.path != modules.base:
            weights = inside(step.path, "model.safetensors")
            paths += [
                inside(step.path, "config.json"),
                weights if weights in listing else inside(step.path, "pytorch_model.bin"),
            ]
    return tuple(listing[path] for path in dict.fromkeys(paths) if path in listing)


def embedding_details(
    documents: Documents, modules: Modules, width: int | None, most_tokens: Sequence[int | None]
) -> tuple[JsonDict, list[RepoWarning]]:
    """How texts become vectors, and what of that is only assumed.

    `width` is the transformer's; `most_tokens` are the limits that other files state.
    """
    reader = _Reader(documents, modules)
    details = reader.pooling() | reader.prompts()
    details["normalize"] = any(modules.of("Normalize"))
    details["modules"] = [{"type": step.type, "path": step.path} for step in modules.steps]
    details["dimensions"] = reader.dimensions(width)
    details["max_input"] = reader.max_input(most_tokens)
    details["lowercase"] = reader.lengths().flag("do_lower_case") or None
    return {name: value for name, value in details.items() if value is not None}, reader.warnings


@dataclass
class _Reader:
    documents: Documents
    modules: Modules
    warnings: list[RepoWarning] = field(default_factory=list)

    def pooling(self) -> JsonDict:
        step = next(self.modules.of("Pooling"), None)
        path = step and inside(step.path, "config.json")
        config = self.documents.fields(path) if path else None
        modes = _modes(config) if config else []
        if config is None or not modes:
            where = path or MODULES
            text = f"{where} does not say how it pools; modelhub takes the mean of all tokens."
            self.warnings.append(RepoWarning(code="pooling.assumed", text=text))
        found: JsonDict = {"pooling": "+".join(modes) or "mean"}
        if config and config.flag("include_prompt") is False:
            found["pool_prompt"] = False
        return found

    def prompts(self) -> JsonDict:
        config = self.documents.fields("config_sentence_transformers.json")
        values = config.object("prompts").values
        found: dict[str, JsonValue] = {
            name: text for name, text in values.items() if _is_prompt(name, text)
        }
        if len(found) != len(values) or len(found) > MAX_PROMPTS:
            config.wrong("prompts", f"at most {MAX_PROMPTS} named texts of {MAX_PROMPT:,} characters")
            found = {}
        default = config.text("default_prompt_name")
        if default and default not in found:
            config.wrong("default_prompt_name", "the name of one of its prompts")
            default = None
        return {"prompts": found, "default_prompt": default} if found else {}

    def dimensions(self, width: int | None) -> int | None:
        """Numbers in a vector: what the last step that changes it gives."""
        for step in self.modules.steps:
            config = self.documents.fields(inside(step.path, "config.json"))
            if step.type == "Pooling":
                one = config.whole("word_embedding_dimension", "embedding_dimension") or width
                width = one and one * max(1, len(_modes(config)))
            elif step.type == "Dense":
                width = config.whole("out_features") or width
        return width

    def max_input(self, stated: Sequence[int | None]) -> int | None:
        """Tokens of one text."""
        own = self.lengths().whole("max_seq_length")
        return own or min(filter(None, stated), default=None)

    def lengths(self) -> Fields:
        """The configuration of the transformer's step, which is named after its architecture."""
        paths = [inside(self.modules.base, name) for name in _LENGTHS]
        there = (path for path in paths if path in self.documents.listing.by_path)
        return self.documents.fields(next(there, paths[0]))


def _modes(config: Fields) -> list[str]:
    value = config.values.get("pooling_mode")
    if value is None:
        return [mode for flag, mode in POOLING.items() if config.flag(flag)]
    modes = value if isinstance(value, list) else [value]
    known = [mode for mode in POOLING.values() if mode in modes]
    if len(known) == len(modes):
        return [str(mode) for mode in modes]
    config.wrong("pooling_mode", f"one or several of {', '.join(POOLING.values())}")
    return []


def _is_prompt(name: Any, text: Any) -> bool:
    short = isinstance(text, str) and len(text) <= MAX_PROMPT and 0 < len(name) <= 100
    return short and is_plain(name + text)
