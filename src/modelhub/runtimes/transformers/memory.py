"""How much memory a model will take, from what its configuration says."""

from collections.abc import Mapping
from typing import Any

from modelhub.facts import Model
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


def predicted_bytes(model: Model, weights: int, element: int, options: Mapping[str, Any]) -> int:
    """Bytes with the model loaded and its context full. `weights` are bytes too, in the type that is
    computed in, of whose numbers each takes `element`.

    A tenth more than the sum of weights, keys and values, and what one step over a full context
    computes, plus half a GiB. What the configuration does not say counts nothing.
    """
    asked = options.get("n_ctx")
    tokens = asked if isinstance(asked, int) else min(model.context_length or TOGETHER, DEFAULT_CONTEXT)
    kept = 0 if model.task == EMBED else tokens * _kept(model)
    computed = (TOGETHER if model.task == EMBED else tokens) * _computed(model)
    return (weights + (kept + computed) * element) * 11 // 10 + _PROGRAM


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
