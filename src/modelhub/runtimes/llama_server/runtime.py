"""What `llama_server` can run, and how it loads it."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from modelhub.errors import InvalidInput, LoadFailed, RuntimeNotInstalled
from modelhub.facts import Device, Fact, Model, Variant
from modelhub.formats import RangeReader, read_gguf
from modelhub.runtimes.base import Bundle, Footprint, Instance, Parts, Runtime, Support
from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.instance import LlamaServerInstance
from modelhub.runtimes.llama_server.memory import predicted_bytes
from modelhub.runtimes.llama_server.server import EngineSettings
from modelhub.tasks import build_request

DEFAULT_CONTEXT = 8192
"""Tokens. The cache of a context is allocated in full when a model is loaded, and a model's own
limit (131,072 and more) can take more memory than its weights.
"""

DEFAULT_BATCH = 512
"""Tokens of a prompt between two looks at the call: llama.cpp computes no more than that at once."""

_BLOCK = 256
"""llama.cpp rounds a context up to a multiple of this."""


class LlamaServerOptions(Fact):
    """How a model is loaded; what is not given is chosen for the model and the machine."""

    n_ctx: Annotated[int, Field(ge=_BLOCK, le=1 << 24)] | None = Field(
        None,
        description=f"Tokens of context, at least {_BLOCK}; at most what the model was trained for.",
    )
    n_threads: Annotated[int, Field(ge=1, le=512)] | None = Field(
        None, description="Threads that compute, from 1 to 512; by default the cores there are."
    )
    n_batch: Annotated[int, Field(ge=1, le=1 << 16)] = Field(
        DEFAULT_BATCH, description="Tokens of a prompt that are computed together, at least 1."
    )


class LlamaServerRuntime(Runtime):
    """llama.cpp for chat."""

    name = "llama_server"
    tasks = ("text-generation",)
    formats = ("gguf",)
    requires = ("xllamacpp",)
    install = 'pip install "modelhub[llama-server]"'
    priority = 10

    def version(self) -> str:
        try:
            return importlib.metadata.version("xllamacpp")
        except importlib.metadata.PackageNotFoundError:
            return super().version()

    def supports(self, model: Model, variant: Variant, device: Device) -> Support:
        if device.kind != "cpu":
            return Support(ok=False, reason=f"{self.name} runs on the CPU, not on {device.name}")
        return super().supports(model, variant, device)

    def footprint(
        self, model: Model, variant: Variant, device: Device, options: Mapping[str, Any]
    ) -> Footprint:
        # Options of another runtime may come here too; those that are wrong are refused by `load`.
        asked = options.get("n_ctx")
        wanted = asked if isinstance(asked, int) and asked > 0 else DEFAULT_CONTEXT
        n_ctx = min(_rounded(wanted), model.context_length or wanted)
        predicted = predicted_bytes(model, variant, n_ctx, DEFAULT_BATCH)
        if predicted is None:
            return super().footprint(model, variant, device, options)
        return Footprint(total=predicted)

    def check_options(self, options: Mapping[str, Any]) -> None:
        build_request(LlamaServerOptions, **options)

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:  # noqa: ARG002 - one file holds all
        chosen = build_request(LlamaServerOptions, **options)
        if device.kind != "cpu":
            raise InvalidInput(
                f"{self.name} runs on the CPU, not on {device.name}",
                hint="Pass device='cpu'.",
                field="device",
            )
        if self.missing():
            raise RuntimeNotInstalled(f"{self.name} needs xllamacpp", hint=f"Run: {self.install}")
        files = gguf_files(bundle)
        trained = check_headers(files) or bundle.model.context_length
        n_ctx = context_size(chosen.n_ctx, trained)
        settings = EngineSettings(
            path=str(files[0]), n_ctx=n_ctx, n_batch=chosen.n_batch, n_threads=threads(chosen, device)
        )
        return LlamaServerInstance(Engine.start(settings, files), n_ctx)


def gguf_files(bundle: Bundle) -> tuple[Path, ...]:
    """The weights, the first shard first: llama.cpp finds the others by its name."""
    names = [part.name for part in bundle.variant.components if part.format in {None, "gguf"}]
    main = "model" if "model" in names else next(iter(names), None)
    paths = bundle.files(main) if main is not None else ()
    files = [path for path in paths if path.suffix.lower() == ".gguf"]
    if not files:
        raise LoadFailed(f"the variant {bundle.variant.name!r} holds no .gguf file")
    return tuple(sorted(files, key=lambda path: path.name))


def check_headers(files: tuple[Path, ...]) -> int | None:
    """The context that the model was trained for, in tokens, once every header is found sound.

    Raises:
        FormatError: for a header that native code must not see.
    """
    headers = [read_gguf(RangeReader.from_path(path)) for path in files]
    return headers[0].context_length


def context_size(asked: int | None, trained: int | None) -> int:
    """Tokens of context to load with.

    Raises:
        InvalidInput: for more than the model was trained for.
    """
    if asked is None:
        return min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
    if trained is not None and asked > trained:
        raise InvalidInput(
            f"n_ctx: the model was trained for {trained} tokens, not {asked}",
            hint=f"Pass at most n_ctx={trained}.",
            field="n_ctx",
        )
    return min(_rounded(asked), trained or _rounded(asked))


def _rounded(n_ctx: int) -> int:
    return -(-n_ctx // _BLOCK) * _BLOCK


def threads(options: LlamaServerOptions, device: Device) -> int | None:
    """Threads to compute with; `None` leaves it to llama.cpp, which counts physical cores.

    It does not see a container's quota, so where this process may use fewer cores, that decides.
    """
    if options.n_threads is not None:
        return options.n_threads
    limited = device.cores is not None and device.cores < (os.cpu_count() or 1)
    return device.cores if limited else None
