"""What `transformers` can run, and how it loads it."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

from modelhub.errors import RuntimeNotInstalled
from modelhub.facts import Device, Model, Variant
from modelhub.runtimes.base import Bundle, Footprint, Instance, Parts, Runtime, Support, is_installed
from modelhub.runtimes.transformers.memory import EMBED, predicted_need
from modelhub.runtimes.transformers.options import TransformersOptions
from modelhub.runtimes.transformers.steps import unknown_steps
from modelhub.tasks import build_request

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_PARTS = {"model", "tokenizer", "processor", "code"}
_STORED = {"fp32": 4, "fp16": 2, "bf16": 2}


class TransformersRuntime(Runtime):
    """The transformers library, https://github.com/huggingface/transformers."""

    name = "transformers"
    tasks = ("text-generation", EMBED)
    formats = ("safetensors", "pytorch")
    requires = ("torch", "transformers")
    install = 'pip install "modelhub[torch]"'
    priority = 0

    def version(self) -> str:
        try:
            return importlib.metadata.version("transformers")
        except importlib.metadata.PackageNotFoundError:
            return super().version()

    def supports(self, model: Model, variant: Variant, device: Device) -> Support:
        if elsewhere := model.details.get("code_elsewhere"):
            return Support(ok=False, reason=f"it needs Python code of another repository: {elsewhere}")
        if device.kind not in {"cpu", "cuda", "mps"}:
            return Support(ok=False, reason=f"{self.name} does not run on {device.name}")
        if variant.format == "pytorch" and (reason := self._pickles(variant)):
            return Support(ok=False, reason=reason)
        if packed := model.details.get("quantization"):
            return Support(
                ok=False, reason=f"{self.name} loads plain weights; these are packed ({packed})"
            )
        if model.task == EMBED and (unknown := unknown_steps(model.details)):
            return Support(ok=False, reason=unknown)
        return super().supports(model, variant, device)

    def _pickles(self, variant: Variant) -> str:
        """Why it does not load a variant of pickles; empty when it does."""
        names = {part.name for part in variant.components}
        if other := sorted(names - _PARTS):  # such as an adapter, which would be left out
            return f"{self.name} loads whole models of pickles, and no {', '.join(other)}"
        if not is_installed("picklescan"):
            return f"{self.name} has pickles scanned first, and picklescan is missing: {self.install}"
        return ""

    def footprint(
        self, model: Model, variant: Variant, device: Device, options: Mapping[str, Any]
    ) -> Footprint:
        """See `memory.py`."""
        stored = _STORED.get(str(variant.precision), 2)
        computed = _BYTES.get(str(options.get("dtype")), 4 if device.kind == "cpu" else stored)
        return Footprint.of(predicted_need(model, variant, stored, computed, options))

    def check_options(self, options: Mapping[str, Any]) -> None:
        build_request(TransformersOptions, **options)

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:  # noqa: ARG002 - weights are not shared yet
        chosen = build_request(TransformersOptions, **options)
        if missing := self.missing():
            needed = ", ".join(missing)
            raise RuntimeNotInstalled(f"{self.name} needs {needed}", hint=f"Run: {self.install}")
        from modelhub.runtimes.transformers.chat import load_chat
        from modelhub.runtimes.transformers.embed import load_embedder

        load = load_embedder if bundle.model.task == EMBED else load_chat
        return load(bundle, device, chosen)
