"""Writes ONNX files field by field, true or lying, without the library that does.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FLOAT, UINT8, INT8, INT64, STRING, FLOAT16, INT4 = 1, 2, 3, 7, 8, 10, 22
BITS = {FLOAT: 32, UINT8: 8, INT8: 8, INT64: 64, FLOAT16: 16, INT4: 4}
DOMAIN = "com.microsoft"


def varint(number: int) -> bytes:
    number %= 1 << 64
    data = bytearray()
    while number > 0x7F:
        data.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*data, number])


def field(number: int, value: int | str | bytes) -> bytes:
    """A number, or a content with its length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return claim(number, len(data)) + data


def claim(number: int, length: int) -> bytes:
    """The beginning of a field that claims a content of this length."""
    return varint(number << 3 | 2) + varint(length)


def fields(number: int, values: Iterable[int | str | bytes]) -> bytes:
    return b"".join(field(number, value) for value in values)


def pair(key: str, value: str) -> bytes:
    return field(1, key) + field(2, value)


def dimension(length: int | str | None) -> bytes:
    if length is None:
        return b""
    return field(2, length) if isinstance(length, str) else field(1, length)


def value(name: str, shape: Sequence[int | str | None] | None = (), dtype: int = FLOAT) -> bytes:
    """An input or output of a graph."""
    lengths = b"" if shape is None else field(2, fields(1, map(dimension, shape)))
    return field(1, name) + field(2, field(1, field(1, dtype) + lengths))


def tensor(name: str, shape: Sequence[int] = (8,), dtype: int = FLOAT, **lies: Any) -> bytes:
    """An initializer; `raw` is its data, `external` the entries that say where it is instead."""
    size = BITS.get(dtype, 8)
    for length in shape:
        size *= length
    external: Mapping[str, str] = lies.get("external", {})
    head = fields(1, shape) + field(2, dtype) + field(8, name)
    if external:
        return head + fields(13, [pair(*item) for item in external.items()]) + field(14, 1)
    raw = lies.get("raw")
    return head + field(9, bytes(-(-size // 8)) if raw is None else raw)


def node(operator: str = "MatMul", *attributes: bytes, name: str = "n") -> bytes:
    """A node; each attribute as its fields."""
    return (
        fields(1, ["x", "w"])
        + field(2, "y")
        + field(3, name)
        + field(4, operator)
        + fields(5, attributes)
    )


def unpacking(bits: int | None = 4, operator: str = "MatMulNBits") -> bytes:
    """A node that unpacks weights of so many bits."""
    return node(
        operator, field(1, "K") + field(3, 64), *([field(1, "bits") + field(3, bits)] if bits else [])
    )


def graph(
    nodes: Iterable[bytes] = (),
    tensors: Iterable[bytes] = (),
    inputs: Iterable[bytes] = (),
    outputs: Iterable[bytes] = (),
    name: str = "main",
) -> bytes:
    about = fields(11, inputs) + fields(12, outputs)
    return fields(1, nodes) + field(2, name) + fields(5, tensors) + about


def model(
    content: bytes | None = None,
    *,
    opsets: Mapping[str, int] | None = None,
    metadata: Mapping[str, str] | None = None,
    producer: str = "zoo",
    ir_version: int = 10,
    more: bytes = b"",
) -> bytes:
    """A whole file; `content` is its graph."""
    head = field(1, ir_version) + field(2, producer) + field(3, "1.0")
    main = field(7, graph() if content is None else content)
    sets = [field(1, domain) + field(2, version) for domain, version in (opsets or {"": 17}).items()]
    props = fields(14, [pair(*item) for item in (metadata or {}).items()])
    return head + main + fields(8, sets) + props + more


def small_onnx() -> bytes:
    """A true one: two nodes, three initializers of which one is an input too, an image in, boxes out."""
    return model(
        graph(
            [node("Conv"), node("Relu")],
            [tensor("w", (4, 2)), tensor("b", (4,), FLOAT16), tensor("k", (2,), INT64)],
            [value("images", ("batch", 3, None, 640)), value("w", (4, 2))],
            [value("output0", ("batch", 84, 8400)), value("any", None)],
        ),
        metadata={"task": "detect", "names": "{0: 'person'}"},
    )
