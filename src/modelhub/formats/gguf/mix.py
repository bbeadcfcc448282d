"""Which of llama.cpp's quantizations a mix of tensor types is.

A file of `Q4_K_M` has tensors of several types: the name means a rule for which gets which. The
rules: `ggml-org/llama.cpp: src/llama-quant.cpp` (`llama_tensor_get_type_impl`, and the default type
of each `llama_ftype`).
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from modelhub.formats.ggml import GGML_TYPES
from modelhub.formats.gguf.tensor import GGUFTensor
from modelhub.refs import Precision

__all__ = ["mixed_precision"]

_PRECISIONS = {kind.name: kind.precision for kind in GGML_TYPES.values()}

_VALUES, _OUTPUT, _DOWN, _JOINED = "attn_v", "attn_output", "ffn_down", "attn_qkv"
_TOLD_APART = (_VALUES, _OUTPUT, _DOWN, _JOINED)

Types = Mapping[str, Collection[str]]
"""The tensor types that occur in all layers, by a tensor's name within its layer."""


def mixed_precision(tensors: Collection[GGUFTensor]) -> Precision | None:
    """The precision that these tensors have together; `None` where their types name none.

    By the type that most numbers have in the layers (embeddings and outputs have types of their
    own), then by what llama.cpp gives more bits in the one and the other quantization of that type.
    """
    layers = [tensor for tensor in tensors if tensor.name.startswith("blk.")] or tensors
    counts: Counter[str] = Counter()
    for tensor in layers:
        if _PRECISIONS[tensor.type]:
            counts[tensor.type] += tensor.elements
    if not counts:
        return None
    most = max(counts, key=lambda kind: counts[kind])
    refine = _REFINEMENTS.get(most)
    types = _types(layers)
    return refine(types) if refine and any(types.values()) else _PRECISIONS[most]


def _types(tensors: Collection[GGUFTensor]) -> Types:
    found: dict[str, set[str]] = {name: set() for name in _TOLD_APART}
    for tensor in tensors:
        name = tensor.name.split(".")[2:3]
        # Experts are in tensors of their own: `ffn_down_exps`.
        part = name[0].removesuffix("_exps") if name else ""
        if part in found and len(tensor.shape) > 1:
            found[part].add(tensor.type)
    return found


def _q5_k(types: Types) -> Precision:
    more = {*types[_VALUES], *types[_DOWN], *types[_JOINED]}
    return Precision.Q5_K_M if "Q6_K" in more else Precision.Q5_K_S


def _q4_k(types: Types) -> Precision:
    more = "Q6_K" in {*types[_VALUES], *types[_DOWN]} or "Q5_K" in types[_JOINED]
    return Precision.Q4_K_M if more else Precision.Q4_K_S


def _q3_k(types: Types) -> Precision:
    if types[_DOWN] and not {"Q3_K", "Q4_K"} & {*types[_DOWN]}:
        return Precision.Q3_K_L
    return Precision.Q3_K_M if "Q4_K" in types[_DOWN] else Precision.Q3_K_S


def _q2_k(types: Types) -> Precision:
    return Precision.Q2_K if "Q3_K" in types[_DOWN] else Precision.Q2_K_S


def _iq3_s(types: Types) -> Precision:
    return Precision.IQ3_M if "Q4_K" in types[_OUTPUT] else Precision.IQ3_S


def _iq2_xs(types: Types) -> Precision:
    return Precision.IQ2_S if "IQ3_S" in types[_OUTPUT] else Precision.IQ2_XS


def _iq2_s(_types: Types) -> Precision:
    return Precision.IQ2_M


_REFINEMENTS: Mapping[str, Callable[[Types], Precision]] = {
    "Q5_K": _q5_k,
    "Q4_K": _q4_k,
    "Q3_K": _q3_k,
    "Q2_K": _q2_k,
    "IQ3_S": _iq3_s,
    "IQ2_XS": _iq2_xs,
    "IQ2_S": _iq2_s,
}
