"""How weights are packed, by `quantization_config`, and how many numbers are in packed tensors.

Methods and their settings: `transformers/utils/quantization_config.py` (5.23). Some repositories keep what
packed them in a file of its own: AutoGPTQ `quantize_config.json`, modelopt `hf_quant_config.json`.

Names of packed tensors, and of those beside them that are no parameters:
gptq and awq, `qweight` of 32-bit words (`gptqmodel/nn_modules/qlinear`, `awq/modules/linear`);
bitsandbytes, `weight` of bytes and its `quant_state` (`bitsandbytes/functional.py: QuantState.as_dict`);
compressed-tensors, `weight_packed` (`compressed_tensors/compressors`); mxfp4, `_blocks` and `_scales`
(`transformers/integrations/mxfp4.py`); fp8, `weight_scale_inv` and its like
(`transformers/integrations/finegrained_fp8.py`); modelopt, `weight` of bytes (`modelopt/torch/export`).
"""

import re
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

from modelhub.facts import JsonDict
from modelhub.formats import SafetensorsHeader
from modelhub.formats.safetensors import DTYPES
from modelhub.refs import Precision
from modelhub.registry.introspect.documents import Documents, Fields

__all__ = ["Packing", "count_packed", "find_packing", "packing_details"]

MAX_GROUPS = 256

_BITS = {2: Precision.INT2, 3: Precision.INT3, 4: Precision.INT4, 8: Precision.INT8}
_FLOAT_BITS = {4: Precision.FP4, 8: Precision.FP8, 16: Precision.FP16}
_ALWAYS = {
    "bitnet": Precision.INT2,  # -1, 0 and 1, four in a byte
    "fbgemm_fp8": Precision.FP8,
    "fouroversix": Precision.NVFP4,
    "fp8": Precision.FP8,
    "mxfp4": Precision.MXFP4,
    "mxfp8": Precision.FP8,
    "nvfp4": Precision.NVFP4,
}
_NAMED = (
    (r"nvfp4", Precision.NVFP4),
    (r"mxfp4", Precision.MXFP4),
    (r"int4_?weight", Precision.INT4),
    (r"int8_?weight", Precision.INT8),
    (r"float8|fp8", Precision.FP8),
    (r"fp4|float4", Precision.FP4),
    (r"u?int8|w8a|int_?8", Precision.INT8),
    (r"u?int4|w4a|int_?4", Precision.INT4),
    (r"u?int3", Precision.INT3),
    (r"u?int2", Precision.INT2),
)
"""What a part of a name means, of a dtype or an algorithm; the first that is in it counts."""

_BESIDE = re.compile(
    r"(?:.*[._])?(?:qzeros|scales|biases|g_idx|SCB|weight_format|absmax|quant_map|nested_absmax|nested_quant_map"
    r"|(?:weight|input|output|activation|k|v|q|prob)_scale(?:_inv|_ub|_2)?"
    r"|(?:weight|input)_(?:zero_point|shape|g_idx|global_scale)|quant_state\.bitsandbytes__\w+)"
)
_PACKED = {
    "auto-round": re.compile(r".*\.qweight"),
    "awq": re.compile(r".*\.qweight"),
    "bitsandbytes": re.compile(r".*\.weight"),
    "compressed-tensors": re.compile(r".*\.weight_packed"),
    "gptq": re.compile(r".*\.qweight"),
    "mlx": re.compile(r".*\.weight"),
    "modelopt": re.compile(r".*\.weight"),
    "mxfp4": re.compile(r".*_blocks"),
    "fbgemm_fp8": re.compile(r"(?!)"),
    "fp8": re.compile(r"(?!)"),
}
"""Of the methods whose numbers can be counted, the tensors that hold several in each element."""

_WORDS = {"I32": 32, "U32": 32, "U8": 8}


class Packing(NamedTuple):
    """A method as transformers calls it; what its weights are worth, the bits of one, and its own name for
    how they are laid out; each only where it is known.
    """

    method: str
    source: str
    precision: Precision | None = None
    bits: int | None = None
    layout: str | None = None


def find_packing(documents: Documents, config: Fields) -> Packing | None:
    """How the weights beside this `config.json` are packed; `None` where they are not."""
    for settings, assumed in _settings(documents, config):
        if settings:
            return _packing(settings, assumed)
    return None


def packing_details(packing: Packing | None) -> JsonDict:
    """`quantization` and what is known of it."""
    if packing is None:
        return {}
    found: JsonDict = {
        "quantization": packing.method,
        "quantization_bits": packing.bits,
        "quantization_layout": packing.layout,
    }
    return {name: value for name, value in found.items() if value is not None}


def count_packed(packing: Packing, headers: Sequence[SafetensorsHeader]) -> int | None:
    """How many numbers were learnt; `None` where the method does not say it, or a tensor is not its own."""
    packed = _PACKED.get(packing.method)
    if packed is None:
        return None
    total = 0
    for tensor in (tensor for header in headers for tensor in header.tensors):
        count = _count(tensor.name, tensor.dtype, prod(tensor.shape), packed, packing.bits)
        if count is None:
            return None
        total += count
    return total or None


def _count(
    name: str, dtype: str, elements: int, packed: re.Pattern[str], bits: int | None
) -> int | None:
    if _BESIDE.fullmatch(name):
        return 0
    if packed.fullmatch(name) and dtype in _WORDS:
        whole, rest = divmod(elements * _WORDS[dtype], bits) if bits else (0, 1)
        return None if rest else whole
    if DTYPES[dtype][1]:
        return elements
    return 0 if dtype in ("I64", "BOOL") else None


def _settings(documents: Documents, config: Fields) -> Iterator[tuple[Fields, str]]:
    """Where a repository may say it, and the method where it does not name one."""
    mlx = config.object("quantization")  # as mlx-lm writes it, alone or once more under the usual key
    yield config.object("quantization_config"), "mlx" if mlx else ""
    yield config.object("compression_config"), "compressed-tensors"
    yield mlx, "mlx"
    folder = config.name.rpartition("/")[0]
    beside = f"{folder}/" if folder else ""
    for name, inner, method in (
        ("quantize_config.json", None, "gptq"),
        ("hf_quant_config.json", "quantization", "modelopt"),
    ):
        if beside + name in documents.listing.by_path:
            found = documents.fields(beside + name)
            yield found.object(inner) if inner else found, method


def _packing(settings: Fields, assumed: str) -> Packing:
    method = (settings.text("quant_method") or assumed).lower()
    if not method and (_loads(settings, 4) or _loads(settings, 8)):
        method = "bitsandbytes"
    bare = method.removeprefix("modelopt_") if method.startswith("modelopt_") else method
    method = "modelopt" if bare != method else method
    read = _READERS.get(method, _plain)
    precision, bits, layout = read(settings)
    precision = _ALWAYS.get(method) or precision or Precision.parse(bare)
    if bits is None and method in _EVEN:
        bits = _WIDTHS.get(precision)
    return Packing(method or "unknown", settings.name, precision, bits, layout)


Read = tuple[Precision | None, int | None, str | None]


def _plain(settings: Fields) -> Read:
    bits = settings.whole("bits", "w_bit", "nbits", "num_bits")
    layout = settings.text("checkpoint_format", "version", "packing_format")
    # A setting for a module of its own: then no number of bits holds for all.
    mixed = settings.object("dynamic", "extra_config", "module_quant_configs")
    return _BITS.get(bits or 0), None if mixed else bits, layout


def _mlx(settings: Fields) -> Read:
    """`mlx_lm/utils.py: quantize_model`: `group_size bits mode`, and what is otherwise in a module by its name."""
    bits = settings.whole("bits")
    mixed = any(isinstance(value, dict) for value in settings.values.values())
    return _BITS.get(bits or 0), None if mixed else bits, settings.text("mode")


def _bitsandbytes(settings: Fields) -> Read:
    if _loads(settings, 4):
        kind = settings.text("bnb_4bit_quant_type")
        return Precision.FP4 if kind == "fp4" else Precision.INT4, 4, kind
    return (Precision.INT8, 8, None) if _loads(settings, 8) else (None, None, None)


def _compressed(settings: Fields) -> Read:
    """Groups of layers, each packed its own way: together they are as good as the worst."""
    layout = settings.text("format")
    groups = settings.object("config_groups")
    weights = [groups.object(name).object("weights") for name in list(groups.values)[:MAX_GROUPS]]
    known = {(bits, own.text("type") == "float") for own in weights if (bits := own.whole("num_bits"))}
    if named := _by_name(layout if layout and "fp4" in layout else None):
        return named, 4, layout
    if not known:
        return None, None, layout
    bits, floats = min(known)
    precision = (_FLOAT_BITS if floats else _BITS).get(bits)
    return precision, bits if len(known) == 1 else None, layout


def _modelopt(settings: Fields) -> Read:
    algorithm = settings.text("quant_algo")
    return _by_name(algorithm), None, algorithm


def _hqq(settings: Fields) -> Read:
    bits = settings.object("quant_config").object("weight_quant_params").whole("nbits")
    return _BITS.get(bits or 0), bits, None


def _aqlm(settings: Fields) -> Read:
    """Codes of `nbits_per_codebook` bits, of several codebooks, stand for a group of weights."""
    books = settings.whole("num_codebooks") or 1
    group = (settings.whole("in_group_size") or 8) * (settings.whole("out_group_size") or 1)
    bits = max(1, round((settings.whole("nbits_per_codebook") or 16) * books / group))
    return _BITS.get(bits), None, None


def _by_weights(settings: Fields) -> Read:
    return _by_name(settings.text("weights") or "int8"), None, None


def _torchao(settings: Fields) -> Read:
    """A name of old (`int4_weight_only`), or a configuration by its class (`Int4WeightOnlyConfig`)."""
    kind = settings.values.get("quant_type")
    if isinstance(kind, dict):
        kind = kind.get("default")
        kind = kind.get("_type") if isinstance(kind, dict) else None
    layout = kind if isinstance(kind, str) and kind.isprintable() and len(kind) <= 100 else None
    return _by_name(layout), None, layout


def _fp_quant(settings: Fields) -> Read:
    kind = settings.text("forward_dtype") or "nvfp4"
    return _by_name(kind), None, kind


def _quark(settings: Fields) -> Read:
    weight: Any = settings.object("global_quant_config").values.get("weight")
    # One after the other is applied where there are several: the last is what is stored.
    last = weight[-1] if isinstance(weight, list) and weight else weight
    kind = last.get("dtype") if isinstance(last, dict) else None
    layout = kind if isinstance(kind, str) and kind.isprintable() and len(kind) <= 100 else None
    return _by_name(layout), None, layout


def _exllama(settings: Fields) -> Read:
    """EXL2 and EXL3 give each matrix bits of its own: `bits` is their mean, such as 4.05."""
    bits = settings.number("bits", most=16)
    return _BITS.get(round(bits)) if bits else None, None, None


_READERS = {
    "aqlm": _aqlm,
    "bitsandbytes": _bitsandbytes,
    "compressed-tensors": _compressed,
    "eetq": _by_weights,
    "exl2": _exllama,
    "exl3": _exllama,
    "fp_quant": _fp_quant,
    "hqq": _hqq,
    "mlx": _mlx,
    "modelopt": _modelopt,
    "quanto": _by_weights,
    "quark": _quark,
    "torchao": _torchao,
}
"""Methods whose settings are not simply a number of bits."""

_EVEN = {*_ALWAYS, "eetq", "fp_quant", "modelopt", "quanto", "quark", "torchao"}
_WIDTHS: dict[Precision | None, int] = {
    Precision.INT2: 2,
    Precision.INT4: 4,
    Precision.FP4: 4,
    Precision.MXFP4: 4,
    Precision.NVFP4: 4,
    Precision.INT8: 8,
    Precision.FP8: 8,
}
"""Bits of a weight, of methods that pack all of them in one way."""


def _by_name(name: str | None) -> Precision | None:
    lower = (name or "").lower()
    return next((precision for pattern, precision in _NAMED if re.search(pattern, lower)), None)


def _loads(settings: Fields, bits: int) -> bool:
    return bool(settings.flag(f"load_in_{bits}bit", f"_load_in_{bits}bit"))
