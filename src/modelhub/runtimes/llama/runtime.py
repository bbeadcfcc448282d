"""A runtime on llama.cpp up to the point where its library is called."""

import importlib.metadata
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from modelhub.errors import InvalidInput, RuntimeNotInstalled
from modelhub.facts import Device, Model, Variant
from modelhub.runtimes.base import Bundle, Footprint, Instance, Parts, Runtime, Support
from modelhub.runtimes.llama.context import DEFAULT_CONTEXT, context_size, rounded
from modelhub.runtimes.llama.files import check_headers, gguf_files
from modelhub.runtimes.llama.loading import Loading
from modelhub.runtimes.llama.memory import predicted_bytes
from modelhub.runtimes.llama.options import DEFAULT_BATCH, LlamaOptions, threads
from modelhub.tasks import build_request

EMBED = "feature-extraction"


class LlamaRuntime(Runtime):
    """llama.cpp for chat and embeddings, on the CPU. `distribution` has the library's version."""

    tasks = ("text-generation", EMBED)
    formats = ("gguf",)
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
        asked = options.get("n_ctx")
        wanted = asked if isinstance(asked, int) and asked > 0 else DEFAULT_CONTEXT
        n_ctx = min(rounded(wanted), model.context_length or wanted)
        n_batch = n_ctx if model.task == EMBED else DEFAULT_BATCH
        predicted = predicted_bytes(model, variant, n_ctx, n_batch)
        if predicted is None:
            return super().footprint(model, variant, device, options)
        return Footprint(total=predicted)

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


def _loading(bundle: Bundle, chosen: LlamaOptions, device: Device) -> Loading:
    files = gguf_files(bundle)
    trained = check_headers(files).context_length or bundle.model.context_length
    n_ctx = context_size(chosen.n_ctx, trained)
    embeds = bundle.model.task == EMBED
    return Loading(
        model=bundle.model,
        files=files,
        n_ctx=n_ctx,
        # A text that is embedded is computed in one go, since each of its tokens may see all others.
        n_batch=n_ctx if embeds else chosen.n_batch,
        n_threads=threads(chosen, device),
        pooling=str(bundle.model.details.get("pooling", "mean")) if embeds else None,
    )
