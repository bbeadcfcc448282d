"""What an ONNX file says of itself, as values."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelhub.refs import Precision

__all__ = ["DTYPES", "ONNXHeader", "ONNXValue"]

DTYPES: dict[int, tuple[str, int, Precision | None]] = {
    1: ("float32", 32, Precision.FP32),
    2: ("uint8", 8, Precision.INT8),
    3: ("int8", 8, Precision.INT8),
    4: ("uint16", 16, None),
    5: ("int16", 16, None),
    6: ("int32", 32, None),
    7: ("int64", 64, None),
    8: ("string", 0, None),
    9: ("bool", 8, None),
    10: ("float16", 16, Precision.FP16),
    11: ("float64", 64, Precision.FP64),
    12: ("uint32", 32, None),
    13: ("uint64", 64, None),
    14: ("complex64", 64, None),
    15: ("complex128", 128, None),
    16: ("bfloat16", 16, Precision.BF16),
    17: ("float8e4m3fn", 8, Precision.FP8),
    18: ("float8e4m3fnuz", 8, Precision.FP8),
    19: ("float8e5m2", 8, Precision.FP8),
    20: ("float8e5m2fnuz", 8, Precision.FP8),
    21: ("uint4", 4, Precision.INT4),
    22: ("int4", 4, Precision.INT4),
    23: ("float4e2m1", 4, Precision.FP4),
    24: ("float8e8m0", 8, None),
    25: ("uint2", 2, Precision.INT2),
    26: ("int2", 2, Precision.INT2),
    27: ("float6e2m3", 6, None),
    28: ("float6e3m2", 6, None),
}
"""`TensorProto.DataType`: a name, bits of an element (0 where they differ), and the precision that it
means for weights. Other whole numbers are positions and sizes."""

_PRECISIONS = {name: precision for name, _, precision in DTYPES.values()}
_PACKED = {2: Precision.INT2, 3: Precision.INT3, 4: Precision.INT4, 8: Precision.INT8}
_QUANTIZED = (Precision.INT8, Precision.INT4, Precision.INT2, Precision.FP4)


@dataclass(frozen=True, slots=True)
class ONNXValue:
    """An input or output of the graph.

    `kind` is `tensor`, `sequence`, `map`, `optional`, `sparse_tensor` or `opaque`, `""` where nothing
    says it. Only tensors have a `dtype` (`float32`, `int64` …, `""` if unknown) and a `shape`: a
    number, a name, or `None` for each dimension, and `None` for a shape that is not stated.
    """

    name: str
    kind: str = ""
    dtype: str = ""
    shape: tuple[int | str | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class ONNXHeader:
    """What an ONNX file says of itself. Texts may hold anything: a stranger wrote them.

    `opsets` has a version by domain, `""` being ONNX's own. `dtypes` counts the elements of all
    initializers by their type and `nbytes` their bytes, wherever those are; `external` says for each
    other file that holds weights, by its path from this file's folder, how many bytes it must have.
    `packed_bits` is the width of weights that nodes such as `MatMulNBits` unpack. Where `complete` is
    false, reading stopped before everything was seen, and counts, inputs and outputs may lack some.
    """

    ir_version: int
    producer: str
    producer_version: str
    domain: str
    model_version: int
    opsets: Mapping[str, int]
    graph: str
    inputs: tuple[ONNXValue, ...]
    outputs: tuple[ONNXValue, ...]
    dtypes: Mapping[str, int]
    nbytes: int
    external: Mapping[str, int]
    metadata: Mapping[str, str]
    packed_bits: int | None
    complete: bool

    @property
    def weights(self) -> Mapping[str, int]:
        """Those of `dtypes` that hold weights, most elements first."""
        known = {dtype: count for dtype, count in self.dtypes.items() if _PRECISIONS.get(dtype)}
        return dict(sorted(known.items(), key=lambda item: -item[1]))

    @property
    def quantized(self) -> bool:
        """Whether weights were made whole numbers, or are packed."""
        return self.packed_bits is not None or any(
            _PRECISIONS[dtype] in _QUANTIZED for dtype in self.weights
        )

    @property
    def parameters(self) -> int | None:
        """Numbers that were learnt. Unknown where not all was seen, and of quantized weights, whose
        scales cannot be told from them.
        """
        if not self.complete or self.quantized:
            return None
        return sum(self.weights.values()) or None

    @property
    def precision(self) -> Precision | None:
        """What packed weights are, else what the type of most weights means."""
        if self.packed_bits is not None:
            return _PACKED.get(self.packed_bits)
        most = next(iter(self.weights), None)
        return _PRECISIONS[most] if most else None
