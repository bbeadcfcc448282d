"""How much memory llama.cpp will take, from what the header says.

The cache of keys and values: `llama-kv-cache.cpp`; for a compressed one, DeepSeek-V2's paper
(arXiv 2405.04434, §2.1). A sliding window is not counted as the saving that it is, since the
header does not tell which layers have one: the prediction is on the safe side.
"""

from collections.abc import Mapping
from typing import Any

from modelhub.facts import Model, Variant

_ELEMENT = 2
"""Bytes of a cached number: half precision."""

_FLOAT = 4
_ACTIVATIONS = 16
"""Vectors of the model's width that one token needs while it is computed, roughly."""

_PROGRAM = 256 << 20
"""Bytes for the library, its threads, the tokenizer and the chat template."""


def predicted_bytes(model: Model, variant: Variant, n_ctx: int, n_batch: int) -> int | None:
    """Bytes with the model loaded and its context full; `None` when the header does not say enough.

    A tenth more than the sum of weights, cache and activations, plus a quarter of a GiB.
    """
    cache = cache_bytes(model.details, n_ctx)
    width, vocabulary = (model.details.get(name) for name in ("embedding_length", "vocabulary_size"))
    if cache is None or not isinstance(width, int) or not isinstance(vocabulary, int):
        return None
    activations = n_batch * (vocabulary + _ACTIVATIONS * width) * _FLOAT
    return (variant.bytes + cache + activations) * 11 // 10 + _PROGRAM


def cache_bytes(details: Mapping[str, Any], n_ctx: int) -> int | None:
    """Bytes of the keys and values of `n_ctx` tokens; `None` when `details` lacks a number."""
    layers = details.get("layers")
    if not isinstance(layers, int):
        return None
    rank, rope = details.get("kv_lora_rank"), details.get("rope_length")
    if isinstance(rank, int) and isinstance(rope, int) and rank:
        return n_ctx * layers * (rank + rope) * _ELEMENT
    heads = details.get("kv_heads")
    total = sum(heads) if isinstance(heads, list) else isinstance(heads, int) and heads * layers
    keys, values = details.get("key_length"), details.get("value_length")
    if not total or not isinstance(keys, int) or not isinstance(values, int):
        return None
    return n_ctx * total * (keys + values) * _ELEMENT
