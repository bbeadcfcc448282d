"""How much memory a model will take, from what its configuration says."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelhub.facts import MemoryNeed, MemoryPart, MemoryTier, Model, Variant
from modelhub.facts.base import human_bytes
from modelhub.facts.memory import weights_part
from modelhub.runtimes.transformers.options import DEFAULT_CONTEXT

EMBED = "feature-extraction"

TOGETHER = 8192
"""Tokens of an embedder's texts, padding included, that are computed in one go: so much memory, and so
long between two looks at the call. One text is computed whole, however long it is.
"""

_WIDTHS = 8
"""Vectors of the model's width that a token needs while a layer computes it, roughly, besides those of
the width of its feed-forward, of which there are three.
"""

_PROGRAM = 512 << 20
"""Bytes for PyTorch itself, once it has run a model."""


def predicted_need(
    model: Model, variant: Variant, stored: int, element: int, options: Mapping[str, Any]
) -> MemoryNeed:
    """With the model loaded and its context full. A number of the weights takes `stored` bytes in the
    files, and `element` once it is loaded in the type that is computed in.

    A tenth more than the sum of weights, keys and values, and what one step over a full context
    computes, plus half a GiB. Where the configuration does not say what a token leaves behind, the
    weights and a fifth more, plus half a GiB.
    """
    asked = options.get("n_ctx")
    tokens = asked if isinstance(asked, int) else min(model.context_length or TOGETHER, DEFAULT_CONTEXT)
    together = TOGETHER if model.task == EMBED else tokens
    counted, tier = weights_part(model, variant)
    weights = _loaded(counted, stored, element)
    cache = _cache(model, tokens, element)
    if cache is None:
        return MemoryNeed(tier=MemoryTier.SIZE, parts=(weights, _overhead((weights,), 5)))
    computed = together * _computed(model) * element
    compute = MemoryPart(name="compute", bytes=computed, sum=f"{together} tokens")
    parts = (weights, cache, compute)
    return MemoryNeed(tier=tier, parts=(*parts, _overhead(parts, 10)))


_SHARES = {5: "a fifth", 10: "a tenth"}


def _overhead(parts: Sequence[MemoryPart], share: int) -> MemoryPart:
    spare = sum(part.bytes for part in parts) // share + _PROGRAM
    return MemoryPart(name="overhead", bytes=spare, sum=f"{_SHARES[share]} and {human_bytes(_PROGRAM)}")


def _cache(model: Model, tokens: int, element: int) -> MemoryPart | None:
    """Keys and values of so many tokens; `None` where nothing says how large they are."""
    if model.task == EMBED:
        return MemoryPart(name="cache", bytes=0, sum="no cache")
    each = _kept(model) * element
    if not each:
        return None
    return MemoryPart(name="cache", bytes=tokens * each, sum=f"{tokens} tokens × {each} B")


def _loaded(weights: MemoryPart, stored: int, element: int) -> MemoryPart:
    """The weights as they are computed with."""
    if stored == element:
        return weights
    size = weights.bytes * element // stored
    said = f"{human_bytes(weights.bytes)} in files, × {element}/{stored}"
    return weights.model_copy(update={"bytes": size, "sum": said})


def _kept(model: Model) -> int:
    """Numbers that a token leaves behind in the layers: its keys and values."""
    heads = _number(model, "layers") * _number(model, "kv_heads")
    return heads * (_number(model, "key_length") + _number(model, "value_length"))


def _computed(model: Model) -> int:
    """Numbers that a token needs while a layer computes it."""
    return _WIDTHS * _number(model, "embedding_length") + 3 * _number(model, "feed_forward_length")


def _number(model: Model, name: str) -> int:
    """One of the sizes; of one that differs from layer to layer, the largest."""
    found = model.details.get(name)
    if isinstance(found, list):
        return max((size for size in found if isinstance(size, int)), default=0)
    return found if isinstance(found, int) else 0
