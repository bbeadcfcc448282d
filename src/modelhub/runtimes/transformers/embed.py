"""Embeddings, as sentence-transformers makes them: the model, pooling, dense layers, length 1.

Pooling: `sentence_transformers/sentence_transformer/modules/pooling.py`; dense layers: `dense.py`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from modelhub.errors import InvalidInput, LoadFailed
from modelhub.facts import Call, Device, JsonDict
from modelhub.runtimes.base import Bundle, Capabilities, Instance
from modelhub.runtimes.embedding import embed_result, normalizes, prompted, text_too_long
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.transformers.dense import read_dense
from modelhub.runtimes.transformers.library import empty_cache, open_model
from modelhub.runtimes.transformers.memory import TOGETHER
from modelhub.runtimes.transformers.options import TransformersOptions, context_length
from modelhub.runtimes.transformers.pooling import pool
from modelhub.runtimes.transformers.steps import Step, steps_of, unknown_steps
from modelhub.runtimes.turn import Say
from modelhub.tasks import EmbedRequest, Request

_COUNTED = 256
"""Texts whose tokens are counted between two looks at the call."""

Layer = Callable[[Any], Any]


def load_embedder(bundle: Bundle, device: Device, options: TransformersOptions) -> Instance:
    """The model with what comes after it, loaded.

    Raises:
        LoadFailed: for steps that are not known.
    """
    details = bundle.model.details
    if unknown := unknown_steps(details):
        raise LoadFailed(unknown)
    layers = [_layer(step, bundle, device) for step in steps_of(details)]
    tokenizer, model = open_model("AutoModel", bundle, device, options.dtype)
    if model.config.is_encoder_decoder:
        model = model.get_encoder()
    if tokenizer.pad_token is None:  # the mask hides it, whichever it is
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    limit = context_length(options.n_ctx, text_limit(tokenizer, model, details))
    return EmbedInstance(tokenizer, model, layers, details, limit)


def _layer(step: Step, bundle: Bundle, device: Device) -> Layer:
    normalize: Layer = torch.nn.functional.normalize
    if step.kind == "Normalize":
        return normalize
    return read_dense(bundle, bundle.roots["model"] / step.path, device.name)


class EmbedInstance(SerialInstance):
    """An encoder, or a decoder that was trained to embed. `details` are the model's."""

    engine = "transformers"

    def __init__(
        self, tokenizer: Any, model: Any, layers: Sequence[Layer], details: JsonDict, limit: int
    ) -> None:
        super().__init__(Capabilities(context_length=limit), (EmbedRequest,))
        self._tokenizer = tokenizer
        self._model: Any = model
        self._layers = layers
        self._details = details
        self._limit = limit

    def work(self, request: Request, call: Call, say: Say) -> None:  # noqa: ARG002 - `say` looks at it
        assert isinstance(request, EmbedRequest)
        texts = prompted(request, self._details)
        lengths: list[int] = []
        for begin in range(0, len(texts), _COUNTED):
            if say(None):
                return
            lengths += self._count(texts, begin, truncate=request.truncate)
        skipped = self._skipped(request)
        rows: list[Any] = [None] * len(texts)
        for group in groups(lengths):
            if say(None):
                return
            vectors = self._embed([texts[at] for at in group], skipped)
            for at, vector in zip(group, vectors, strict=True):
                rows[at] = vector
        say(embed_result(rows, sum(lengths), normalize=normalizes(request, self._details)))

    def _count(self, texts: Sequence[str], begin: int, *, truncate: bool) -> Iterator[int]:
        """The tokens that each of the next texts takes.

        Raises:
            ContextTooLong: for one that does not fit.
            InvalidInput: for one of which the tokenizer leaves nothing.
        """
        rows = self._tokenizer(list(texts[begin : begin + _COUNTED]), verbose=False)["input_ids"]
        for index, length in enumerate(map(len, rows), begin):
            if length == 0:
                raise InvalidInput(f"texts.{index} has no tokens", field="texts", index=index)
            if length > self._limit and not truncate:
                raise text_too_long(index, length, self._limit)
            yield min(length, self._limit)

    def _skipped(self, request: EmbedRequest) -> int:
        """Tokens at the begin of each text that are not pooled: its prompt, where the repository says so."""
        if self._details.get("pool_prompt") is not False:
            return 0
        prompts: Any = self._details.get("prompts") or {}
        prompt = prompts.get(request.prompt_name or self._details.get("default_prompt"), "")
        tokens = self._tokenizer(prompt)["input_ids"] if prompt else []
        ends = bool(tokens) and tokens[-1] in self._tokenizer.all_special_ids
        return len(tokens) - 1 if ends else len(tokens)

    def _embed(self, texts: list[str], skipped: int) -> Any:
        """Vectors, (texts, dimensions). Padded on the right, where it moves no token from its place."""
        inputs = self._tokenizer(
            texts,
            padding=True,
            padding_side="right",
            truncation=True,
            max_length=self._limit,
            return_tensors="pt",
        ).to(self._model.device)
        with torch.inference_mode():
            states = self._model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].clone()
            mask[:, :skipped] = 0
            vectors = pool(str(self._details.get("pooling", "mean")), states, mask)
            for layer in self._layers:
                vectors = layer(vectors)
        return vectors.cpu().numpy()

    def release(self) -> None:
        device, self._model = self._model.device.type, None
        self._layers = ()
        empty_cache(device)


def text_limit(tokenizer: Any, model: Any, details: JsonDict) -> int | None:
    """Tokens that a text may have: as the repository says, and never more than there are positions."""
    stated = details.get("max_input")
    if stated is None and tokenizer.model_max_length < 1 << 30:
        stated = tokenizer.model_max_length
    sizes = (stated, positions(model))
    return min((size for size in sizes if isinstance(size, int)), default=None)


def positions(model: Any) -> int | None:
    """Places for tokens in the model.

    RoBERTa and its kin count them from behind the padding's, and have so many fewer than the table's
    length (`create_position_ids_from_input_ids`).
    """
    for name, module in model.named_modules():
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            return int(module.num_embeddings) - int(module.padding_idx) - 1
    found: int | None = getattr(model.config, "max_position_embeddings", None)
    return found


def groups(lengths: Sequence[int], most: int = TOGETHER) -> Iterator[list[int]]:
    """Indices of texts to compute together: of like length, so that little is padding."""
    group: list[int] = []
    for at in sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True):
        if group and lengths[group[0]] * (len(group) + 1) > most:
            yield group
            group = []
        group.append(at)
    yield group
