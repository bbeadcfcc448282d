"""The contract between modelhub and whatever runs a model. `api_version` 1.

A runtime is a class with four attributes and one method; it is found by the entry point group
`modelhub.runtimes`. Its module must be cheap to import: it describes the runtime, and imports its
engine inside `load`, so that modelhub can plan for a runtime whose engine is not installed.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from pkgutil import get_importer
from typing import Annotated, Any, ClassVar, Protocol, TypeVar

from pydantic import Field, model_validator

from modelhub.errors import ModelHubError, TaskNotSupported
from modelhub.facts import Call, Device, Fact, MemoryNeed, MemoryPart, MemoryTier, Model, Variant
from modelhub.facts.memory import weights_part
from modelhub.refs import Digest
from modelhub.tasks import Request, Result

API_VERSION = 1

T = TypeVar("T")


class Support(Fact):
    """Whether a runtime can run a variant on a device, and if not, why."""

    ok: bool
    reason: str = ""


class Footprint(Fact):
    """Predicted memory in bytes, weights and working space.

    `per_device` is the memory of each device by its name (`cuda:0`), where it is more than one. `need`
    says what `total` is made of, where the runtime knows.
    """

    total: Annotated[int, Field(ge=0)]
    per_device: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    need: MemoryNeed | None = None

    @classmethod
    def of(cls, need: MemoryNeed) -> "Footprint":
        """One that says what it is made of."""
        return cls(total=need.total, need=need)

    @model_validator(mode="after")
    def _same_total(self) -> "Footprint":
        if self.need is not None and self.need.total != self.total:
            raise ValueError(f"need adds up to {self.need.total}, not to {self.total}")
        return self


class Capabilities(Fact):
    """What an instance can do besides answering one request.

    `max_concurrency` is how many calls it takes at the same time; more are queued for it.
    `max_batch` is how many requests `infer_many` does together; above 1, who has several gives them
    together. `context_length` is in tokens.
    """

    max_concurrency: Annotated[int, Field(ge=1)] = 1
    max_batch: Annotated[int, Field(ge=1)] = 1
    streaming: bool = False
    context_length: int | None = None


@dataclass(frozen=True, slots=True)
class Bundle:
    """A variant whose files are here, verified: what `load` gets.

    `roots` maps each component's name to the snapshot folder of the repository it comes from;
    `components` to the folder of the component itself. `code_allowed` says that the user allowed the
    repository's own Python code at this commit: without it none of it may run. `trusted` are the digests of
    pickles that the user lets run code: no other may.
    """

    model: Model
    variant: Variant
    roots: Mapping[str, Path] = field(default_factory=dict)
    code_allowed: bool = False
    trusted: frozenset[Digest] = frozenset()

    @property
    def components(self) -> Mapping[str, Path]:
        """The folder of each component."""
        return {part.name: self.roots[part.name] / part.folder for part in self.variant.components}

    def files(self, component: str) -> tuple[Path, ...]:
        """The files of one component, in the order of the variant."""
        part = next(part for part in self.variant.components if part.name == component)
        return tuple(self.roots[component] / file.path for file in part.files)

    def digest(self, path: Path) -> Digest | None:
        """The SHA-256 of one of its files; `None` where it is not known."""
        listed = ((self.roots[part.name] / file.path, file) for part, file in self.variant.files())
        return next((file.sha256 for place, file in listed if place == path), None)


class Parts(Protocol):
    """Loaded components that instances share."""

    def get(self, digest: Digest, make: Callable[[], T]) -> T:
        """The part with this content, made by `make` if nobody has it yet."""
        ...


class Instance(ABC):
    """A loaded model. `infer`, `infer_many` and `stream` may be called from any thread."""

    capabilities: Capabilities = Capabilities()

    @property
    def alive(self) -> bool:
        """Whether it can still answer; `False` once the process that held it is gone."""
        return True

    @property
    def pid(self) -> int | None:
        """The process that holds the weights; `None` is this one."""
        return None

    @property
    def memory(self) -> int | None:
        """Bytes that it takes now, where that can be measured; may ask another process."""
        return None

    @abstractmethod
    def infer(self, request: Request, call: Call) -> Result:
        """Answer one request.

        Must call `call.check()` at least once a step, and let what it raises through.

        Raises:
            TaskNotSupported: for a request of a kind that it does not serve.
            EngineError: when the engine fails; the engine's own error is its `__cause__`. What it
                raises besides becomes one on the way to the caller.
        """

    def infer_many(
        self, requests: Sequence[Request], calls: Sequence[Call]
    ) -> Sequence[Result | ModelHubError]:
        """Answer several requests together, each with its own call: an entry each, in their order.

        A request that fails, or whose call is over, costs itself alone: its entry is the error.
        By default one after the other; whoever says `max_batch` above 1 does it in one go.
        """
        return [self._answer(request, call) for request, call in zip(requests, calls, strict=True)]

    def _answer(self, request: Request, call: Call) -> Result | ModelHubError:
        try:
            return self.infer(request, call)
        except ModelHubError as error:
            return error

    def stream(self, request: Request, call: Call) -> Iterator[Any]:  # noqa: ARG002 - for subclasses
        """Answer piece by piece. Closing the iterator early stops the engine, and so does dropping it.

        A request that it does not serve is refused here, or at the first piece.
        """
        raise TaskNotSupported(
            f"{type(self).__name__} does not stream", hint="Call it without stream=True."
        )

    @abstractmethod
    def close(self) -> None:
        """Give back memory, threads and files. Safe to call twice."""


class Runtime(ABC):
    """An engine that can load models.

    Class attributes: `name` is unique; `tasks` are canonical task ids; `formats` are file formats
    (`gguf`, `safetensors` …); `requires` are the modules that its engine needs, and `install` the
    command that brings them; `priority` orders runtimes that could all do it, higher first; an
    `explicit` runtime is taken only when a caller names it; one that is `isolated` is loaded in a
    process of its own, whatever the Hub's host, because what it does to its process is not to be
    shared; `response_formats` are those to which it can bind the answer of a chat (`json_object`,
    `json_schema`): a request for another is never ignored, but refused; `unused` are components that
    it does without where a variant has them: what it gets to load is the variant without them.
    """

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    formats: ClassVar[tuple[str, ...]]
    requires: ClassVar[tuple[str, ...]] = ()
    install: ClassVar[str] = ""
    priority: ClassVar[int] = 0
    explicit: ClassVar[bool] = False
    isolated: ClassVar[bool] = False
    response_formats: ClassVar[tuple[str, ...]] = ()
    unused: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        """Load a variant.

        Raises:
            InvalidInput: for an option that the runtime does not know or cannot honour.
            LoadFailed: when the engine refuses the files; its own error is the `__cause__`.
        """

    @classmethod
    def missing(cls) -> tuple[str, ...]:
        """The modules of `requires` that are not installed. Imports none of them."""
        return tuple(module for module in cls.requires if not is_installed(module))

    def check_options(self, options: Mapping[str, Any]) -> None:  # noqa: B027 - most take none
        """Refuse, before anything is fetched, options that `load` would refuse. By default: none.

        Raises:
            InvalidInput: naming the option, what came and what would do.
        """

    def version(self) -> str:
        """The engine's version, for provenance; the modelhub runtime's own where it has none.

        Asked when runtimes are first listed: it reads metadata, and does not import the engine.
        """
        return str(self.api_version)

    def supports(self, model: Model, variant: Variant, device: Device) -> Support:  # noqa: ARG002 - for subclasses
        """Whether this runtime can run `variant` of `model` on `device`. By default: the format matches."""
        if variant.format in self.formats:
            return Support(ok=True)
        return Support(ok=False, reason=f"{self.name} reads {', '.join(self.formats)}")

    def footprint(
        self,
        model: Model,
        variant: Variant,
        device: Device,  # noqa: ARG002 - for subclasses
        options: Mapping[str, Any],  # noqa: ARG002
    ) -> Footprint:
        """The memory that `variant` will take on `device`. By default: the weights plus a fifth of the
        files and half a GiB, as `accelerate estimate-memory` does.
        """
        weights, _ = weights_part(model, variant)
        spare = variant.bytes // 5 + (1 << 29)
        overhead = MemoryPart(name="overhead", bytes=spare, sum="a fifth of the files and 537 MB")
        return Footprint.of(MemoryNeed(tier=MemoryTier.SIZE, parts=(weights, overhead)))


def is_installed(module: str) -> bool:
    """Whether there is such a module. Unlike `find_spec`, imports no package on the way to it."""
    if module in sys.modules:
        return sys.modules[module] is not None
    name, *below = module.split(".")
    spec = find_spec(name)
    for part in below:
        name = f"{name}.{part}"
        folders = (spec.submodule_search_locations if spec else None) or ()
        finders = filter(None, map(get_importer, folders))
        spec = next(filter(None, (finder.find_spec(name) for finder in finders)), None)
    return spec is not None
