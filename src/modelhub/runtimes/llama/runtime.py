"""A runtime on llama.cpp up to the point where its library is called."""

import importlib.metadata
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from modelhub.errors import InvalidInput, RuntimeNotInstalled
from modelhub.facts import Device, Model, Variant
from modelhub.runtimes.base import Bundle, Footprint, Instance, Parts, Runtime, Support
from modelhub.runtimes.llama.bound import RESPONSE_FORMATS
from modelhub.runtimes.llama.context import DEFAULT_CONTEXT, context_size, rounded
from modelhub.runtimes.llama.files import check_headers, gguf_files
from modelhub.runtimes.llama.grammar.thoughts import OPEN
from modelhub.runtimes.llama.loading import Loading
from modelhub.runtimes.llama.memory import predicted_need
from modelhub.runtimes.llama.options import DEFAULT_BATCH, LlamaOptions, threads
from modelhub.runtimes.llama.pooling import pooling_of, reads_in_pieces
from modelhub.tasks import build_request

EMBED = "feature-extraction"


class LlamaRuntime(Runtime):
    """llama.cpp for chat and embeddings, on the CPU. `distribution` has the library's version."""

    tasks = ("text-generation", EMBED)
    formats = ("gguf",)
    response_formats = RESPONSE_FORMATS
    unused = ("projector",)
    distribution: ClassVar[str]

    @abstractmethod
    def start(self, loading: Loading) -> Instance:
        """Load it.

        Raises:
            LoadFailed: when the engine refuses the files.
        """

    def version(self) -> str:
        try:
            return importlib.metadata.version(self.distribution)
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
        wanted = _asked(options, "n_ctx", DEFAULT_CONTEXT)
        n_ctx = min(rounded(wanted), model.context_length or wanted)
        whole = model.task == EMBED and not reads_in_pieces(str(model.details.get("pooling")))
        n_batch = n_ctx if whole else min(_asked(options, "n_batch", DEFAULT_BATCH), DEFAULT_BATCH)
        need = predicted_need(model, variant, n_ctx, n_batch)
        return Footprint.of(need) if need else super().footprint(model, variant, device, options)

    def check_options(self, options: Mapping[str, Any]) -> None:
        build_request(LlamaOptions, **options)

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:  # noqa: ARG002 - one file holds all
        chosen = build_request(LlamaOptions, **options)
        if device.kind != "cpu":
            raise InvalidInput(
                f"{self.name} runs on the CPU, not on {device.name}",
                hint="Pass device='cpu'.",
                field="device",
            )
        if missing := self.missing():
            needed = ", ".join(missing)
            raise RuntimeNotInstalled(f"{self.name} needs {needed}", hint=f"Run: {self.install}")
        return self.start(_loading(bundle, chosen, device))


def _asked(options: Mapping[str, Any], name: str, default: int) -> int:
    found = options.get(name)
    return found if isinstance(found, int) and found > 0 else default


def _loading(bundle: Bundle, chosen: LlamaOptions, device: Device) -> Loading:
    files = gguf_files(bundle)
    header = check_headers(files)
    n_ctx = context_size(chosen.n_ctx, header.context_length or bundle.model.context_length)
    pooling = pooling_of(bundle.model.details, header) if bundle.model.task == EMBED else None
    return Loading(
        model=bundle.model,
        files=files,
        n_ctx=n_ctx,
        n_batch=chosen.n_batch if pooling is None or reads_in_pieces(pooling) else n_ctx,
        n_threads=threads(chosen, device),
        pooling=pooling,
        thinks=OPEN in (header.chat_template or ""),
    )
