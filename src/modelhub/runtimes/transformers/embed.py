"""Embeddings, as sentence-transformers makes them: the model, pooling, dense layers, length 1.

Pooling: `sentence_transformers/sentence_transformer/modules/pooling.py`; dense layers: `dense.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from modelhub.errors import LoadFailed
from modelhub.facts import Call, Device, JsonDict
from modelhub.runtimes.base import Bundle, Capabilities, Instance
from modelhub.runtimes.embedding import embed_result, normalizes, prompted, text_too_long
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.transformers.dense import Dense, read_dense
from modelhub.runtimes.transformers.library import open_model
from modelhub.runtimes.transformers.options import TransformersOptions
from modelhub.runtimes.transformers.pooling import pool
from modelhub.runtimes.turn import Say
from modelhub.tasks import EmbedRequest, Request

_KNOWN = ("Transformer", "Pooling", "Dense", "Normalize")
_TOGETHER = 16
"""Texts that are computed in one go, and so the longest time between two looks at the call."""


def load_embedder(bundle: Bundle, device: Device, options: TransformersOptions) -> Instance:
    """The model with what comes after it, loaded.

    Raises:
        LoadFailed: for steps that are not known.
    """
    steps = _steps(bundle.model.details)
    if unknown := [kind for kind, _ in steps if kind not in _KNOWN]:
        raise LoadFailed(
            f"its modules.json has a step that is not known: {', '.join(unknown)}",
            hint=f"Known are {', '.join(_KNOWN)}.",
        )
    tokenizer, model = open_model("AutoModel", bundle, device, options.dtype)
    root = next(iter(bundle.roots.values()))
    dense = [read_dense(root / path, device.name) for kind, path in steps if kind == "Dense"]
    return EmbedInstance(tokenizer, model, dense, bundle.model.details)


def _steps(details: JsonDict) -> list[tuple[str, Path]]:
    modules: Any = details.get("modules") or []
    return [(str(module["type"]), Path(str(module["path"]))) for module in modules]


class EmbedInstance(SerialInstance):
    """An encoder, or a decoder that was trained to embed. `details` are the model's."""

    engine = "transformers"

    def __init__(self, tokenizer: Any, model: Any, dense: list[Dense], details: JsonDict) -> None:
        limit = _limit(tokenizer, model, details)
        super().__init__(Capabilities(context_length=limit), (EmbedRequest,))
        self._tokenizer = tokenizer
        self._model: Any = model
        self._dense = dense
        self._details = details

    def work(self, request: Request, call: Call, say: Say) -> None:  # noqa: ARG002 - `say` looks at it
        assert isinstance(request, EmbedRequest)
        texts = prompted(request, self._details)
        lengths = self._check(texts, truncate=request.truncate)
        rows: list[Any] = [None] * len(texts)
        for group in _groups(lengths):
            if say(None):
                return
            skipped = self._skipped(request)
            vectors = self._embed([texts[at] for at in group], skipped)
            for at, vector in zip(group, vectors, strict=True):
                rows[at] = vector
        say(embed_result(rows, sum(lengths), normalize=normalizes(request, self._details)))

    def _check(self, texts: Sequence[str], *, truncate: bool) -> list[int]:
        """The tokens that each text takes.

        Raises:
            ContextTooLong: for one that does not fit.
        """
        limit = self.capabilities.context_length
        lengths = [len(row) for row in self._tokenizer(list(texts), verbose=False)["input_ids"]]
        for index, length in enumerate(lengths):
            if limit is not None and length > limit and not truncate:
                raise text_too_long(index, length, limit)
        return [min(length, limit or length) for length in lengths]

    def _skipped(self, request: EmbedRequest) -> int:
        """Tokens at the begin of each text that are not pooled: its prompt, where the repository says so."""
        if self._details.get("pool_prompt") is not False:
            return 0
        prompts: Any = self._details.get("prompts") or {}
        prompt = prompts.get(request.prompt_name or self._details.get("default_prompt"), "")
        tokens = self._tokenizer(prompt)["input_ids"] if prompt else []
        ends = bool(tokens) and tokens[-1] in self._tokenizer.all_special_ids
        return len(tokens) - 1 if ends else len(tokens)

    def _embed(self, texts: list[str], skipped: int) -> Iterator[Any]:
        limit = self.capabilities.context_length
        inputs = self._tokenizer(
            texts, padding=True, truncation=limit is not None, max_length=limit, return_tensors="pt"
        ).to(self._model.device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].clone()
            if skipped:
                _skip(mask, skipped)
            vectors = pool(str(self._details.get("pooling", "mean")), states, mask)
            for layer in self._dense:
                vectors = layer(vectors)
        yield from vectors.cpu().numpy()

    def release(self) -> None:
        self._model = None
        self._dense = []


def _skip(mask: Any, count: int) -> None:
    """Take the first `count` tokens of each text out of the mask, on whichever side it is padded."""
    order = mask.cumsum(dim=1)
    mask[(order <= count) & (mask == 1)] = 0


def _limit(tokenizer: Any, model: Any, details: JsonDict) -> int | None:
    stated = [details.get("max_input"), getattr(model.config, "max_position_embeddings", None)]
    if tokenizer.model_max_length < 1 << 30:
        stated.append(tokenizer.model_max_length)
    return min((size for size in stated if isinstance(size, int)), default=None)


def _groups(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of texts to compute together: of like length, so that little is padding."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    for begin in range(0, len(order), _TOGETHER):
        yield order[begin : begin + _TOGETHER]
