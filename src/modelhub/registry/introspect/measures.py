"""How precise a set of weights is and how many parameters it has: by headers, configuration, names."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelhub.formats import SafetensorsHeader
from modelhub.formats.safetensors import DTYPES
from modelhub.refs import Precision
from modelhub.registry.introspect.base import FROM_CONFIG, FROM_HEADER, FROM_NAME
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.weights import WeightSet

__all__ = ["Measure", "measure", "name_candidates", "quantization"]

_BITS = {2: Precision.INT2, 3: Precision.INT3, 4: Precision.INT4, 8: Precision.INT8}


@dataclass(frozen=True, slots=True)
class Measure:
    """Precision and parameters of a set, where known; what says the precision, and its trust."""

    precision: Precision | None
    source: str
    trust: int
    parameters: int | None


def measure(documents: Documents, weights: WeightSet, config: Fields) -> Measure:
    """What is known of a set of weights beside this `config.json`."""
    headers = _headers(documents, weights)
    counted = len(headers) == len(weights.files) and not config.object("quantization_config")
    parameters = _parameters(headers) if counted else None
    return Measure(*_precision(weights, config, headers), parameters)


def quantization(config: Fields) -> Precision | None:
    """The precision of weights that are packed, which their dtype does not tell."""
    packed = config.object("quantization_config")
    if not packed:
        return None
    method = packed.text("quant_method") or ""
    if precision := Precision.parse(method):
        return precision
    if packed.flag("load_in_4bit", "_load_in_4bit"):
        return Precision.INT4
    if packed.flag("load_in_8bit", "_load_in_8bit"):
        return Precision.INT8
    return _BITS.get(packed.whole("bits", "w_bit") or 0)


def name_candidates(kind: str, mark: str, precision: Precision | None) -> list[str]:
    """Candidates for a variant's name, the best first."""
    plain = precision.value if precision else ""
    # A mark that is a precision, and not the one that the headers say, would mislead.
    told = "" if Precision.parse(mark) else mark.lower()
    names = (plain, told, plain and f"{kind}-{plain}", kind)
    return [name for name in names if name]


def _headers(documents: Documents, weights: WeightSet) -> list[SafetensorsHeader]:
    """Those that were read: not of every shard, where there are very many."""
    found = (documents.metadata.safetensors(file.path) for file in weights.files)
    return [header for header in found if header]


def _precision(
    weights: WeightSet, config: Fields, headers: Sequence[SafetensorsHeader]
) -> tuple[Precision | None, str, int]:
    if packed := quantization(config):
        return packed, f"{config.name}: quantization_config", FROM_CONFIG
    if counts := _elements(headers):
        most = max(counts, key=lambda dtype: counts[dtype])
        return DTYPES[most][1], f"{weights.files[0].path}: dtypes", FROM_HEADER
    if marked := Precision.parse(weights.mark):
        return marked, f"{weights.files[0].path}: file name", FROM_NAME
    said = config.text("dtype", "torch_dtype") or ""
    return Precision.parse(said), f"{config.name}: dtype", FROM_CONFIG


def _parameters(headers: Sequence[SafetensorsHeader]) -> int | None:
    """Numbers that were learnt. Packed ones cannot be counted, and whole numbers are positions."""
    return sum(count for dtype, count in _elements(headers).items() if DTYPES[dtype][1]) or None


def _elements(headers: Sequence[SafetensorsHeader]) -> dict[str, int]:
    """How many elements have each dtype, in all files together."""
    counts: dict[str, int] = {}
    for header in headers:
        for dtype, count in header.dtypes.items():
            counts[dtype] = counts.get(dtype, 0) + count
    return counts
