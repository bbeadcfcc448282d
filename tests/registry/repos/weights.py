"""Weight files that are all header: what a reader reads is there, and the weights are zeros."""

import json
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from modelhub.formats.ggml import GGML_TYPES
from modelhub.formats.safetensors import DTYPES
from tests.formats import build, onnx_build
from tests.zoo.hub_server.sparse import Pieces, Sparse, length

from .case import Header, Tensor, Value

_GGML = {kind.name: kind for kind in GGML_TYPES.values()}
_ONNX = {"FLOAT": 1, "UINT8": 2, "INT8": 3, "INT32": 6, "INT64": 7, "BOOL": 9, "FLOAT16": 10}
_ONNX |= {"DOUBLE": 11, "BFLOAT16": 16, "UINT4": 21, "INT4": 22}
_ONNX_BITS = {"FLOAT": 32, "UINT8": 8, "INT8": 8, "INT32": 32, "INT64": 64, "BOOL": 8, "FLOAT16": 16}
_ONNX_BITS |= {"DOUBLE": 64, "BFLOAT16": 16, "UINT4": 4, "INT4": 4}


def make_weights(header: Header, size: int) -> Sparse:
    """A file of that header and exactly that many bytes.

    Raises:
        ValueError: when what the header tells of does not fit into the file.
    """
    makers = {"gguf": _gguf, "onnx": _onnx, "safetensors": _safetensors}
    pieces = makers[header.format](header, size)
    used = sum(map(length, pieces))
    if used > size:
        raise ValueError(f"the header and what it tells of take {used:,} bytes; the file has {size:,}")
    return Sparse((*pieces, size - used) if used < size else pieces)


def _safetensors(header: Header, size: int) -> Pieces:
    """Exactly what the format allows: the header is filled up with spaces, and no byte is left over."""
    entries: dict[str, Any] = {"__metadata__": dict(header.metadata)} if header.metadata else {}
    at = 0
    for tensor in sorted(header.each(), key=_as_saved):
        end = at + prod(tensor.shape) * DTYPES[tensor.dtype][0] // 8
        entries[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [at, end]}
        at = end
    if header.fill:
        width = DTYPES[header.fill][0] // 8
        room = max(0, (size - at - len(json.dumps(entries)) - 160) // width)
        end = at + room * width
        entries["fill"] = {"dtype": header.fill, "shape": [room], "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    spare = size - 8 - at - len(text)
    return build.safetensors(text + b" " * max(0, spare), 0), at


def _as_saved(tensor: Tensor) -> tuple[int, str]:
    """The order in which the safetensors library writes: wide types first, then by name."""
    return -DTYPES[tensor.dtype][0], tensor.name


def _gguf(header: Header, size: int) -> Pieces:
    file = build.GGUF(pairs=[_pair(key, value) for key, value in header.metadata.items()])
    at = 0
    for tensor in header.each():
        kind = _GGML[tensor.dtype]
        file.tensors.append(build.tensor(tensor.name, tensor.shape, kind.id, at))
        at += -(-prod(tensor.shape) // kind.block * kind.bytes // 32) * 32
    if header.fill:
        kind = _GGML[header.fill]
        blocks = max(0, (size - len(bytes(file)) - at - 256) // kind.bytes)
        file.tensors.append(build.tensor("fill.weight", (blocks * kind.block,), kind.id, at))
        at += blocks * kind.bytes
    return bytes(file), at


def _pair(key: str, value: Any) -> bytes:
    """A metadata pair of the type that a value in YAML has; `{array: string, count: n}` is a long array."""
    match value:
        case bool():
            return build.pair(key, build.BOOL, value)
        case int():
            small = build.INT32 if value < 0 else build.UINT32
            return build.pair(key, small if value < 1 << 32 else build.UINT64, value)
        case float():
            return build.pair(key, build.FLOAT32, value)
        case str():
            return build.pair(key, build.STRING, value)
        case list():
            kinds = {str: build.STRING, float: build.FLOAT32, int: build.INT32}
            return build.array(key, kinds[type(value[0])], value)
        case {"array": kind, "count": int() as count}:
            return build.array(key, *_long(kind, count))
    raise ValueError(f"{key} has a value that no GGUF type is known for: {value!r}")


def _long(kind: str, count: int) -> tuple[int, list[Any]]:
    match kind:
        case "string":
            return build.STRING, [f"t{number:05}" for number in range(count)]
        case "int32":
            return build.INT32, [1] * count
        case "float32":
            return build.FLOAT32, [0.0] * count
    raise ValueError(f"no long arrays of {kind!r}; there are: string, int32, float32")


def _onnx(header: Header, size: int) -> Pieces:
    tensors = [each for group in header.initializers for each in group.each()]
    pieces = _onnx_model(header, tensors)
    spare = size - sum(map(length, pieces))
    if header.fill and spare > 128:
        count = (spare - 64) * 8 // _ONNX_BITS[header.fill]
        pieces = _onnx_model(header, [*tensors, Tensor(name="fill", dtype=header.fill, shape=(count,))])
        spare = size - sum(map(length, pieces))
    return (*pieces, *_onnx_rest(spare)) if spare > 0 else pieces


def _onnx_rest(spare: int) -> Pieces:
    """A text of the model's that takes exactly so many bytes."""
    for head in range(2, 12):
        claim = onnx_build.claim(6, max(0, spare - head))
        if len(claim) == head <= spare:
            return claim, spare - head
    raise ValueError(f"no field takes exactly {spare} bytes")


def _onnx_model(header: Header, tensors: list[Tensor]) -> Pieces:
    nodes = [onnx_build.node(name=f"n{n}") for n in range(header.nodes)]
    if header.packed_bits:
        nodes.append(onnx_build.unpacking(header.packed_bits))
    head = onnx_build.fields(1, nodes)
    head += onnx_build.field(2, "main_graph")
    weights = [piece for tensor in tensors for piece in _initializer(tensor)]
    tail = onnx_build.fields(11, map(_value, header.inputs))
    tail += onnx_build.fields(12, map(_value, header.outputs))
    graph = (head, *weights, tail)
    pairs = [onnx_build.field(1, domain) + onnx_build.field(2, n) for domain, n in header.opset.items()]
    props = [onnx_build.pair(key, str(value)) for key, value in header.metadata.items()]
    start = onnx_build.field(1, 8) + onnx_build.field(2, header.producer)
    start += onnx_build.claim(7, sum(map(length, graph)))
    return (start, *graph, onnx_build.fields(8, pairs) + onnx_build.fields(14, props))


def _initializer(tensor: Tensor) -> Iterator[bytes | int]:
    dtype = _ONNX[tensor.dtype]
    head = onnx_build.fields(1, tensor.shape) + onnx_build.field(2, dtype)
    head += onnx_build.field(8, tensor.name)
    if tensor.external:
        entries = [onnx_build.pair(key, value) for key, value in tensor.external.items()]
        data = onnx_build.fields(13, entries) + onnx_build.field(14, 1)
        yield onnx_build.field(5, head + data)
        return
    size = -(-prod(tensor.shape) * _ONNX_BITS[tensor.dtype] // 8)
    head += onnx_build.claim(9, size)
    yield onnx_build.claim(5, len(head) + size) + head
    yield size


def _value(value: Value) -> bytes:
    return onnx_build.value(value.name, value.shape, _ONNX[value.dtype])


def shard_index(shards: Mapping[str, Header]) -> dict[str, Any]:
    """The index of shards, from the headers of the files by their names."""
    weights = {each.name: name for name, header in shards.items() for each in header.each()}
    fills = {f"fill-{name}": name for name, header in shards.items() if header.fill}
    return {"metadata": {}, "weight_map": weights | fills}
