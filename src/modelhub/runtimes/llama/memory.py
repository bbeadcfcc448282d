"""How much memory llama.cpp will take, from what the header says. The cache: `cache.py`."""

from modelhub.facts import MemoryNeed, MemoryPart, Model, Variant
from modelhub.facts.base import human_bytes
from modelhub.facts.memory import weights_part
from modelhub.runtimes.llama.cache import cache_of

_FLOAT = 4
_ACTIVATIONS = 16
"""Vectors of the model's width that one token needs while it is computed, roughly."""

_PROGRAM = 256 << 20
"""Bytes for the library, its threads, the tokenizer and the chat template."""


def predicted_need(model: Model, variant: Variant, n_ctx: int, n_batch: int) -> MemoryNeed | None:
    """With the model loaded and its context full; `None` when the header does not say enough.

    `n_batch` tokens are computed at once. A tenth more than the sum of weights, cache and activations, plus
    a quarter of a GiB.
    """
    cache = cache_of(model.architecture, model.details, n_ctx, n_batch)
    width, vocabulary = (model.details.get(name) for name in ("embedding_length", "vocabulary_size"))
    if cache is None or not isinstance(width, int) or not isinstance(vocabulary, int):
        return None
    weights, tier = weights_part(model, variant)
    activations = n_batch * (vocabulary + _ACTIVATIONS * width) * _FLOAT
    parts = (
        weights,
        MemoryPart(name="cache", bytes=cache.bytes, sum=str(cache)),
        MemoryPart(name="compute", bytes=activations, sum=f"batches of {n_batch} tokens"),
    )
    spare = sum(part.bytes for part in parts) // 10 + _PROGRAM
    overhead = MemoryPart(name="overhead", bytes=spare, sum=f"a tenth and {human_bytes(_PROGRAM)}")
    return MemoryNeed(tier=tier, parts=(*parts, overhead))
