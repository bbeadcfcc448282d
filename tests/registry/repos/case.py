"""One repository's file: what is known of it, where that is known from, and what must be found in it.

The keys are explained in the README beside this file. Nothing is guessed: a key that is not known, an
evidence mark that is not defined and a path that comes twice are errors.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal

import yaml  # type: ignore[import-untyped]  # huggingface_hub brings it, without its types
from pydantic import BaseModel, ConfigDict, Field, model_validator

from modelhub.facts import FileKind
from modelhub.refs import RepoPath
from modelhub.registry.introspect import classify

FOLDER = Path(__file__).parent
RECONSTRUCTED = "reconstructed"
SHA256 = r"^[0-9a-f]{64}$"
FAMILIES = Literal[
    "gguf",
    "transformers",
    "sentence-transformers",
    "cross-encoder",
    "diffusers",
    "onnx",
    "adapter",
    "recipe",
    "unknown",
]
_ESSENTIAL = (FileKind.MODEL, FileKind.CONFIG, FileKind.METADATA)
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Strict):
    """Where something is known from: an address or a section of the notes, and what stands there."""

    source: str = Field(pattern=r"^(https://|notes/)\S")
    seen: date
    says: str = Field(min_length=10)


class Listed(Strict):
    """A file of the repository; without a `size` it is as large as its document."""

    path: str
    size: int | None = Field(None, ge=0)
    sha256: str | None = Field(None, pattern=SHA256)
    evidence: str
    size_evidence: str | None = None

    @property
    def known(self) -> bool:
        """Whether evidence says that it is there and, of weights, how large it is."""
        marks = [self.evidence]
        if self.kind == FileKind.MODEL:
            marks.append(RECONSTRUCTED if self.size is None else self.size_evidence or self.evidence)
        return RECONSTRUCTED not in marks

    @property
    def kind(self) -> FileKind:
        return classify(RepoPath(self.path))


class Document(Strict):
    """A small file: a JSON value, a text, or the index of the shards named.

    `exact` is the hash of its bytes (`sha256:…`, or `git:…` for git's object id), which those that are
    made of it must have.
    """

    evidence: str
    exact: str | None = Field(None, pattern=r"^(sha256:[0-9a-f]{64}|git:[0-9a-f]{40})$")
    content: Any = None
    text: str | None = None
    index: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Document":
        given = self.model_fields_set & {"content", "text", "index"}
        if len(given) != 1:
            raise ValueError(f"a document has one of content, text and index, not {sorted(given)}")
        return self


class Tensor(Strict):
    name: str
    dtype: str
    shape: tuple[int, ...]
    external: Mapping[str, str] = Field(default_factory=dict)

    def each(self) -> Iterator["Tensor"]:
        """One for each name that its ranges stand for: `h.{0..11}.w` stands for twelve."""
        for name in expand(self.name):
            yield self.model_copy(update={"name": name})


class Value(Strict):
    """An input or output of a graph; a text in its shape is a length that is left open."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


class Header(Strict):
    """What the header of a weight file says.

    `packed` is the type of the tensors whose type is `packed`, so that quantizations share a list;
    `fill` makes one tensor of all that is left of the file's size; `packed_bits` is the width of the
    weights that the nodes of a graph unpack.
    """

    format: Literal["gguf", "onnx", "safetensors"]
    evidence: str
    metadata: Mapping[str, Any] = Field(default_factory=dict)
    tensors: tuple[Tensor, ...] = ()
    packed: str | None = None
    fill: str | None = None
    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()
    initializers: tuple[Tensor, ...] = ()
    opset: Mapping[str, int] = Field(default_factory=lambda: {"": 17})
    producer: str = "pytorch"
    nodes: int = 0
    packed_bits: int | None = None

    def each(self) -> Iterator[Tensor]:
        """Its tensors one by one."""
        for tensor in (each for group in self.tensors for each in group.each()):
            own = self.packed if tensor.dtype == "packed" else None
            yield tensor.model_copy(update={"dtype": own}) if own else tensor


class Expected(Strict):
    """What must be found; `pending` is why it is not found yet."""

    what: str
    value: Any
    evidence: str
    pending: str | None = Field(None, min_length=10)


class Case(Strict):
    """A repository, whole."""

    repo: str
    family: FAMILIES
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    commit_evidence: str
    evidence: Mapping[str, Source] = Field(default_factory=dict)
    files: tuple[Listed, ...] = Field(min_length=1)
    card: Mapping[str, Any] | None = None
    card_evidence: str | None = None
    gated: bool = False
    documents: Mapping[str, Document] = Field(default_factory=dict)
    headers: Mapping[str, Header] = Field(default_factory=dict)
    facts: tuple[Expected, ...] = Field(min_length=1)
    notes: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> "Case":
        used = set(self._marks()) - {RECONSTRUCTED}
        if used != set(self.evidence):
            raise ValueError(f"marks used: {sorted(used)}; marks defined: {sorted(self.evidence)}")
        paths = [file.path for file in self.files]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise ValueError(f"paths that come twice: {twice}")
        asked = [fact.what for fact in self.facts]
        if twice := sorted({what for what in asked if asked.count(what) > 1}):
            raise ValueError(f"facts that come twice: {twice}")
        if stray := sorted(set(self.documents) - set(paths)):
            raise ValueError(f"documents of files that are not listed: {stray}")
        if stray := [key for key in self.headers if not any(fnmatchcase(path, key) for path in paths)]:
            raise ValueError(f"headers of files that are not listed: {stray}")
        if (self.card is None) != (self.card_evidence is None):
            raise ValueError("a card and its card_evidence come together")
        return self

    def _marks(self) -> Iterator[str]:
        yield self.commit_evidence
        yield from filter(None, [self.card_evidence])
        for file in self.files:
            yield from filter(None, [file.evidence, file.size_evidence])
        for each in (*self.documents.values(), *self.headers.values(), *self.facts):
            yield each.evidence

    @property
    def evidenced(self) -> bool:
        """Whether its weights and configurations are known, and its task or format."""
        essential = [file for file in self.files if file.kind in _ESSENTIAL]
        told = any(fact.what.endswith(_TELLING) for fact in self.evidenced_facts)
        return bool(essential) and all(file.known for file in essential) and told

    @property
    def evidenced_facts(self) -> list[Expected]:
        if self.repo.rpartition("/")[2].startswith("synthetic-"):
            return []
        return [fact for fact in self.facts if fact.evidence != RECONSTRUCTED]

    def header(self, path: str) -> Header | None:
        """The header of a file: keys are paths or patterns of them, of which the first that fits counts."""
        return next((head for key, head in self.headers.items() if fnmatchcase(path, key)), None)


_TELLING = ("task", "format", "precision", "models")


def load(path: Path) -> Case:
    """The case in a file.

    Raises:
        ValueError: with all that is wrong in it.
    """
    case = Case.model_validate(yaml.load(path.read_text("utf-8"), _UniqueKeys))
    if path.stem != case.repo.replace("/", "__"):
        raise ValueError(
            f"{path.name} is about {case.repo}: call it {case.repo.replace('/', '__')}.yaml"
        )
    return case


def expand(name: str) -> Iterator[str]:
    """The names that a name with ranges stands for; `{001..012}` keeps its zeros."""
    match = _RANGE.search(name)
    if match is None:
        yield name
        return
    first, last = match.groups()
    for number in range(int(first), int(last) + 1):
        text = str(number).zfill(len(first) if first.startswith("0") else 1)
        yield from expand(name[: match.start()] + text + name[match.end() :])


class _UniqueKeys(yaml.SafeLoader):  # type: ignore[misc]
    """YAML whose mappings name a key once."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [key.value for key, _ in node.value]
        if twice := sorted({str(key) for key in keys if keys.count(key) > 1}):
            raise ValueError(f"keys that come twice, at line {node.start_mark.line + 1}: {twice}")
        return super().construct_mapping(node, deep)
