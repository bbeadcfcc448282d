"""How much memory a model will take, from what its configuration says."""

from collections.abc import Mapping
from typing import Any

from modelhub.facts import MemoryNeed, MemoryPart, Model, Variant
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
    computes, plus half a GiB. What the configuration does not say counts nothing.
    """
    asked = options.get("n_ctx")
    tokens = asked if isinstance(asked, int) else min(model.context_length or TOGETHER, DEFAULT_CONTEXT)
    cached = 0 if model.task == EMBED else tokens
    together = TOGETHER if model.task == EMBED else tokens
    each = _kept(model) * element
    weights, tier = weights_part(model, variant)
    parts = (
        _loaded(weights, stored, element),
        MemoryPart(name="cache", bytes=cached * each, sum=f"{cached} tokens × {each} B"),
        MemoryPart(
            name="compute", bytes=together * _computed(model) * element, sum=f"{together} tokens"
        ),
    )
    spare = sum(part.bytes for part in parts) // 10 + _PROGRAM
    overhead = MemoryPart(name="overhead", bytes=spare, sum=f"a tenth and {human_bytes(_PROGRAM)}")
    return MemoryNeed(tier=tier, parts=(*parts, overhead))


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
