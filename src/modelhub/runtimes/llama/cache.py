"""How many bytes llama.cpp's cache takes, to the byte, from what a GGUF header says.

Three kinds, of which a model may have several:

- keys and values of each token, `src/llama-kv-cache.cpp`; a compressed attention (MLA, DeepSeek-V2's paper,
  arXiv 2405.04434, §2.1) keeps one vector a token, and no values (ggml-org/llama.cpp#19067);
- those of a sliding window, `src/llama-kv-cache-iswa.cpp`: as many cells as the window and a batch need;
- the state of a recurrent layer, `src/llama-memory-recurrent.cpp`: float32, the same however long the text is.

Which layers are which: `load_hparams` in `src/llama-model.cpp`, and `src/models/` since.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["CELL", "Cache", "Layers", "cache_of"]

CELL = 256
"""llama.cpp rounds the cells of a cache up to a multiple of this."""

TYPES = {"f32": (4, 1), "f16": (2, 1), "bf16": (2, 1), "q8_0": (34, 32), "q4_0": (18, 32)}
"""Bytes, and the numbers that they hold, by the type of a cache: ggml's block sizes."""

_FLOAT = 4

_PATTERNS = {
    "afmoe": (4, False),
    "cohere2": (4, False),
    "exaone-moe": (4, False),
    "exaone4": (4, False),
    "gemma2": (2, False),
    "gemma3": (6, False),
    "gemma3n": (5, False),
    "gpt-oss": (2, False),
    "laguna": (4, True),
    "llama4": (4, False),
    "olmo2": (4, False),
    "plamo3": (8, False),
    "smallthinker": (4, True),
}
"""`set_swa_pattern`: of so many layers one sees everything, the last or, where that is true, the first.
Every other architecture sees everything in every layer, unless its header lists which layers do not:
what a header says of a window alone counts for nothing there.
"""

_WINDOWS = {"gemma2": 4096, "llama4": 8192}
"""Tokens of the window where the header does not say it."""

_FIXED = {"llama4": 8192, "smallthinker": 4096}
"""Tokens of the window whatever the header says, unless it says 0."""

_LARGE_EXAONE = 64
"""Layers of the EXAONE 4 that has a window of 4096 tokens, whether its header says so or not."""

_FIRST_LAYERS = {"gemma3n": 20}
"""Only so many have keys and values of their own; the others use those of one before."""

_NO_CACHE = frozenset(
    [
        "bert",
        "dream",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llada",
        "llada-moe",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "rnd1",
        "wavtokenizer-dec",
    ]
)
"""They read a text as a whole."""

_RECURRENT = frozenset(["arwkv7", "mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7"])
_BOTH = frozenset({"falcon-h1"})
"""Each layer attends, and is recurrent too."""

_WITHOUT_HEADS = frozenset(
    ["granitehybrid", "jamba", "lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "plamo2"]
)
"""A layer without heads for keys is recurrent; of Nemotron-H only one without a feed-forward too."""

_EVERY = frozenset({"qwen35", "qwen35moe", "qwen3next"})
"""One of so many layers attends, the last; the others are recurrent."""

_INTERVAL = 4

_THEIR_OWN = frozenset(["deepseek32", "deepseek4", "glm-dsa", "kimi-linear", "minimax-m3", "qwen4exp"])
"""Their caches have parts that are not counted here."""


class Layers(NamedTuple):
    """Layers that are alike: how many, of how many cells, and the bytes of all of them."""

    kind: str
    layers: int
    cells: int
    bytes: int

    def __str__(self) -> str:
        each = self.bytes // (self.layers * self.cells)
        what = {"state": "states", "window": "tokens in a window"}.get(self.kind, "tokens")
        return f"{self.layers} layers × {self.cells} {what} × {each} B"


@dataclass(frozen=True, slots=True)
class Cache:
    """All of a context's cache."""

    layers: tuple[Layers, ...]

    @property
    def bytes(self) -> int:
        """Of all layers."""
        return sum(each.bytes for each in self.layers)

    def __str__(self) -> str:
        return " + ".join(map(str, self.layers)) or "no cache"


class _Layer(NamedTuple):
    keys: int
    values: int
    window: bool
    recurrent: bool


def cache_of(
    architecture: str | None,
    details: Mapping[str, Any],
    n_ctx: int,
    n_batch: int,
    *,
    slots: int = 1,
    kind: str = "f16",
) -> Cache | None:
    """The cache for `n_ctx` tokens, shared by `slots` conversations, of which `n_batch` are computed at
    once; `None` when `details` says too little, or the architecture's cache is not known.
    """
    if architecture in _NO_CACHE:
        return Cache(())
    layers = None if architecture in _THEIR_OWN else _layers(str(architecture), details)
    if layers is None:
        return None
    context = _padded(n_ctx)
    window = _window(str(architecture), details) or 0
    within = _padded(min(context, window * slots + n_batch))
    full = [layer for layer in layers if layer.keys and not layer.window]
    sliding = [layer for layer in layers if layer.keys and layer.window]
    found = [*_attention("full", full, context, kind), *_attention("window", sliding, within, kind)]
    count = sum(layer.recurrent for layer in layers)
    if count:
        state = _state(details)
        if state is None:
            return None
        found.append(Layers("state", count, slots, count * slots * state * _FLOAT))
    return Cache(tuple(found))


def _padded(tokens: int) -> int:
    return -(-tokens // CELL) * CELL


def _attention(name: str, layers: list[_Layer], cells: int, kind: str) -> list[Layers]:
    """Those of one kind. A row of a cache begins a new block."""
    size, numbers = TYPES[kind]
    rows = sum(-(-width // numbers) for layer in layers for width in (layer.keys, layer.values))
    return [Layers(name, len(layers), cells, cells * rows * size)] if layers else []


def _layers(architecture: str, details: Mapping[str, Any]) -> list[_Layer] | None:
    count = _number(details, "layers")
    recurrent = _recurrent(architecture, details, count) if count else None
    if count is None or recurrent is None:
        return None
    heads = [0] * count if architecture in _RECURRENT else _per_layer(details, "kv_heads", count)
    widths = _widths(details)
    if heads is None or (widths is None and any(heads)):
        return None
    last = _last(architecture, details, count)
    windows = _windows(architecture, details, count)
    both = architecture in _BOTH
    found = []
    for index in range(count):
        attends = index < last and (both or not recurrent[index])
        keys, values = (widths or {})[windows[index]] if attends and heads[index] else (0, 0)
        kept = heads[index] if attends else 0
        state = recurrent[index] and index < count - (_number(details, "nextn_layers") or 0)
        found.append(_Layer(kept * keys, kept * values, windows[index], state))
    return found


def _widths(details: Mapping[str, Any]) -> dict[bool, tuple[int, int]] | None:
    """Numbers of a head's key and value, without a window and with one."""
    keys, values = _number(details, "key_length"), _number(details, "value_length")
    if keys is None or values is None:
        return None
    if _number(details, "key_length_mla") and _number(details, "value_length_mla"):
        values = 0  # they are within the key
    near = _number(details, "key_length_swa") or keys, _number(details, "value_length_swa") or values
    return {False: (keys, values), True: near if values else (near[0], 0)}


def _last(architecture: str, details: Mapping[str, Any], count: int) -> int:
    """The layers before this one have keys and values of their own."""
    shared = (_number(details, "shared_kv_layers") or 0) + (_number(details, "nextn_layers") or 0)
    return min(count, _FIRST_LAYERS.get(architecture, count - shared))


def _window(architecture: str, details: Mapping[str, Any]) -> int | None:
    """Tokens of the window; `None` where no layer has one."""
    found = _number(details, "sliding_window")
    if found is None and architecture == "exaone4":
        return 4096 if _number(details, "layers") == _LARGE_EXAONE else None
    said = _WINDOWS.get(architecture) if found is None else found
    return _FIXED.get(architecture, said) if said else None


def _windows(architecture: str, details: Mapping[str, Any], count: int) -> list[bool]:
    """Which layers see a window alone."""
    listed = details.get("sliding_window_pattern")
    if not _window(architecture, details):
        return [False] * count
    if isinstance(listed, list) and len(listed) >= count:
        return [bool(each) for each in listed[:count]]
    if architecture not in _PATTERNS:
        return [False] * count
    period, first = _PATTERNS[architecture]
    period = listed if isinstance(listed, int) and listed > 0 else period
    return [index % period != (0 if first else period - 1) for index in range(count)]


def _recurrent(architecture: str, details: Mapping[str, Any], count: int) -> list[bool] | None:
    """Which layers have a state."""
    if architecture in _RECURRENT or architecture in _BOTH:
        return [True] * count
    if architecture in _EVERY:
        interval = _number(details, "full_attention_interval") or _INTERVAL
        return [(index + 1) % interval != 0 for index in range(count)]
    if architecture not in _WITHOUT_HEADS:
        return [False] * count
    heads = _per_layer(details, "kv_heads", count)
    if heads is None:
        return None
    if not architecture.startswith("nemotron"):
        return [not each for each in heads]
    forward = _per_layer(details, "feed_forward_length", count)
    pairs = zip(heads, forward or [], strict=True)
    return [not each and not wide for each, wide in pairs] if forward else None


def _state(details: Mapping[str, Any]) -> int | None:
    """Numbers of a layer's state: `n_embd_r` and `n_embd_s` of `src/llama-hparams.cpp`."""
    width = _number(details, "embedding_length")
    if (head := _number(details, "wkv_head_size")) and width:
        shifts = _number(details, "token_shifts")
        return width * ((2 if shifts is None else shifts) + head)
    if (kept := _number(details, "shortconv_cache")) and width:
        return width * (kept - 1)
    conv, inner, state = (_number(details, name) for name in ("ssm_conv", "ssm_inner", "ssm_state"))
    if conv is None or inner is None or state is None:
        return None
    groups = _number(details, "ssm_groups") or 0
    return max(0, conv - 1) * (inner + 2 * groups * state) + state * inner


def _per_layer(details: Mapping[str, Any], name: str, count: int) -> list[int] | None:
    """A number of each layer, where the header has one for all or one for each."""
    found = details.get(name)
    if isinstance(found, list):
        return found[:count] if len(found) >= count else None
    return [found] * count if isinstance(found, int) else None


def _number(details: Mapping[str, Any], name: str) -> int | None:
    found = details.get(name)
    return found if isinstance(found, int) else None
