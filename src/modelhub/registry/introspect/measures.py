"""How precise a set of weights is and how many parameters it has: by headers, configuration, names."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelhub.formats import SafetensorsHeader
from modelhub.formats.safetensors import DTYPES
from modelhub.refs import Precision
from modelhub.registry.introspect.base import FROM_CONFIG, FROM_HEADER, FROM_NAME
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.quantization import Packing, count_packed, find_packing
from modelhub.registry.introspect.weights import WeightSet

__all__ = ["Measure", "measure", "name_candidates"]


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
    packing = find_packing(documents, config)
    parameters = None
    if len(headers) == len(weights.files):
        parameters = count_packed(packing, headers) if packing else _parameters(headers)
    return Measure(*_precision(weights, config, packing, headers), parameters)


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
    weights: WeightSet,
    config: Fields,
    packing: Packing | None,
    headers: Sequence[SafetensorsHeader],
) -> tuple[Precision | None, str, int]:
    if packing and packing.precision:
        return packing.precision, packing.source, FROM_CONFIG
    if counts := _elements(headers):
        most = max(counts, key=lambda dtype: counts[dtype])
        return DTYPES[most][1], f"{weights.files[0].path}: dtypes", FROM_HEADER
    if marked := Precision.parse(weights.mark):
        return marked, f"{weights.files[0].path}: file name", FROM_NAME
    said = config.text("dtype", "torch_dtype") or ""
    return Precision.parse(said), f"{config.name}: dtype", FROM_CONFIG


def _parameters(headers: Sequence[SafetensorsHeader]) -> int | None:
    """Numbers that were learnt; whole ones are positions."""
    return sum(count for dtype, count in _elements(headers).items() if DTYPES[dtype][1]) or None


def _elements(headers: Sequence[SafetensorsHeader]) -> dict[str, int]:
    """How many elements have each dtype, in all files together."""
    counts: dict[str, int] = {}
    for header in headers:
        for dtype, count in header.dtypes.items():
            counts[dtype] = counts.get(dtype, 0) + count
    return counts
