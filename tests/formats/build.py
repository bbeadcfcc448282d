"""Writes GGUF and safetensors headers byte by byte, true or lying, without the libraries that do."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import pack
from typing import Any

UINT8, INT32, UINT32, FLOAT32, STRING, ARRAY, UINT64 = 0, 5, 4, 6, 8, 9, 10
BOOL = 7
CODES = {UINT8: "B", INT32: "i", UINT32: "I", FLOAT32: "f", UINT64: "Q", BOOL: "?"}


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return pack("<Q", len(data)) + data


def value(kind: int, item: Any) -> bytes:
    return text(item) if kind == STRING else pack("<" + CODES[kind], item)


def pair(key: str | bytes, kind: int, item: Any) -> bytes:
    return text(key) + pack("<I", kind) + value(kind, item)


def array(key: str, kind: int, items: Iterable[Any], *, count: int | None = None) -> bytes:
    items = list(items)
    head = pack("<IQ", kind, len(items) if count is None else count)
    return text(key) + pack("<I", ARRAY) + head + b"".join(value(kind, item) for item in items)


def tensor(name: str | bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    dims = b"".join(pack("<Q", length) for length in shape)
    return text(name) + pack("<I", len(shape)) + dims + pack("<IQ", kind, offset)


@dataclass
class GGUF:
    """A GGUF file in the making. The counts and the data's length can be made to lie."""

    pairs: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)
    data: int = 0
    version: int = 3
    magic: bytes = b"GGUF"
    alignment: int = 32
    n_pairs: int | None = None
    n_tensors: int | None = None

    def __bytes__(self) -> bytes:
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_pairs = len(self.pairs) if self.n_pairs is None else self.n_pairs
        head = self.magic + pack("<IQQ", self.version, n_tensors, n_pairs)
        head += b"".join(self.pairs) + b"".join(self.tensors)
        return head + b"\0" * (-len(head) % self.alignment + self.data)


def small_gguf() -> GGUF:
    """A true one: two tensors, 160 bytes of data."""
    return GGUF(
        pairs=[
            pair("general.architecture", STRING, "llama"),
            pair("llama.context_length", UINT32, 2048),
            array("tokenizer.ggml.tokens", STRING, ["a", "bc", ""]),
        ],
        tensors=[tensor("a.weight", (8, 2), 0, 0), tensor("b.weight", (32, 2), 8, 64)],
        data=64 + 68,
    )


def small_safetensors(**header: Any) -> bytes:
    """A true one with two tensors and 24 bytes of data; keywords add to its header or replace."""
    tensors = {
        "a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]},
        "b": {"dtype": "BF16", "shape": [4], "data_offsets": [16, 24]},
    }
    return safetensors(json.dumps(tensors | header).encode(), 24)


def safetensors(header: bytes, data: int, *, length: int | None = None) -> bytes:
    return pack("<Q", len(header) if length is None else length) + header + b"\0" * data
