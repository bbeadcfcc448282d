"""Reads GGUF headers within bounds; see the package's docstring for what is refused and why."""

from collections.abc import Mapping
from struct import Struct
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.ggml import GGML_TYPES, GGMLType
from modelhub.formats.gguf.header import ArraySummary, GGUFHeader, GGUFTensor, Scalar, Value
from modelhub.formats.reader import RangeReader

__all__ = ["Parser", "read_gguf"]

MAGIC = b"GGUF"
MAX_METADATA = 1 << 12
"""Real files have a hundred."""
MAX_TENSORS = 1 << 14
"""Real files have a few thousand."""
MAX_STRING = 1 << 20
MAX_KEY = (1 << 16) - 1
"""The format's own limit."""
MAX_TENSOR_NAME = 1 << 10
"""llama.cpp takes 63 bytes."""
MAX_STRINGS = 1 << 21
"""In all arrays, since each costs time; the largest vocabularies with their merges have 0.8 million."""
MAX_ELEMENTS = 1 << 24
MAX_ALIGNMENT = 1 << 16
MAX_DIMENSIONS = 4
DEFAULT_ALIGNMENT = 32

KEPT_ARRAY = 1024
"""Longer arrays are walked over; of them only type and length are kept."""
KEPT_ELEMENTS = 1 << 14

_STRING, _ARRAY, _UINT32 = 8, 9, 4
_SCALARS = {
    0: ("uint8", "B"),
    1: ("int8", "b"),
    2: ("uint16", "H"),
    3: ("int16", "h"),
    4: ("uint32", "I"),
    5: ("int32", "i"),
    6: ("float32", "f"),
    7: ("bool", "?"),
    10: ("uint64", "Q"),
    11: ("int64", "q"),
    12: ("float64", "d"),
}
_STRUCTS = {kind: Struct("<" + code) for kind, (_, code) in _SCALARS.items()}
_U32, _U64 = Struct("<I"), Struct("<Q")
_SHAPES = tuple(Struct(f"<{rank}Q") for rank in range(MAX_DIMENSIONS + 1))
_TYPE_AND_OFFSET = Struct("<IQ")
_LEAST_PAIR = 13  # an empty key's length, a type, a byte
_LEAST_TENSOR = 24  # an empty name's length, no dimensions, a type, an offset


def read_gguf(reader: RangeReader) -> GGUFHeader:
    """The header of a GGUF file of version 2 or 3, little endian.

    Raises:
        FormatError: for anything that is damaged, lying, hostile or not known here.
    """
    return Parser(reader).header()


class Parser:
    """Reads one header, forward; its methods stand where in the file they begin."""

    def __init__(self, reader: RangeReader) -> None:
        self.reader = reader
        self.elements_left = KEPT_ELEMENTS
        self.strings_left = MAX_STRINGS

    def header(self) -> GGUFHeader:
        """The whole header, from the file's beginning."""
        version, tensor_count, pair_count = self.preamble()
        metadata = self._metadata(pair_count)
        alignment = self._alignment(metadata)
        table_start = self.reader.position
        tensors, data_start = self.table(tensor_count, alignment)
        header_bytes = self.reader.position
        return GGUFHeader(version, metadata, tensors, alignment, table_start, header_bytes, data_start)

    def preamble(self) -> tuple[int, int, int]:
        """The file's first 24 bytes: version, how many tensors, how many metadata keys."""
        magic = self.reader.peek(4)
        if magic != MAGIC:
            raise self._error(f"not a GGUF file: it begins with {magic!r}")
        self.reader.skip(4)
        version = self._number(_U32)
        if version not in (2, 3):
            raise self._error(_unknown_version(version))
        tensor_count, pair_count = self._number(_U64), self._number(_U64)
        self._check_count(tensor_count, MAX_TENSORS, _LEAST_TENSOR, "tensors")
        self._check_count(pair_count, MAX_METADATA, _LEAST_PAIR, "metadata keys")
        return version, tensor_count, pair_count

    def table(self, count: int, alignment: int) -> tuple[tuple[GGUFTensor, ...], int]:
        """The table of `count` tensors, from its beginning; and where in the file the data starts."""
        tensors = self._tensors(count, alignment)
        data_start = -(-self.reader.position // alignment) * alignment
        self._check_places(tensors, data_start)
        return tensors, data_start

    def _metadata(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for _ in range(count):
            key = self._name("metadata key", MAX_KEY)
            if key in metadata:
                raise self._error(f"the metadata key {key!r:.120} comes twice")
            kind = self._number(_U32)
            if key == "general.alignment" and kind != _UINT32:
                raise self._error("general.alignment is not a uint32")
            metadata[key] = self._value(kind, key)
        return metadata

    def _value(self, kind: int, key: str) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._array(key)
        if kind not in _STRUCTS:
            raise self._error(f"the value of {key!r:.120} has the unknown type {kind}")
        value: Scalar = self._number(_STRUCTS[kind])
        return value

    def _array(self, key: str) -> Value:
        kind, count = self._number(_U32), self._number(_U64)
        if kind == _ARRAY:
            raise self._error(f"{key!r:.120} is an array of arrays, which GGUF loaders do not take")
        if kind != _STRING and kind not in _SCALARS:
            raise self._error(f"the array {key!r:.120} has elements of the unknown type {kind}")
        least = 8 if kind == _STRING else _STRUCTS[kind].size
        self._check_count(count, MAX_ELEMENTS, least, f"elements in {key!r:.120}", read=kind == _STRING)
        if kind == _STRING:
            return self._strings(count)
        name, code = _SCALARS[kind]
        if not self._keep(count):
            self.reader.skip(count * least)
            return ArraySummary(name, count)
        return Struct(f"<{count}{code}").unpack(self.reader.take(count * least))

    def _strings(self, count: int) -> Value:
        self.strings_left -= count
        if self.strings_left < 0:
            raise self._error(f"its arrays hold more than {MAX_STRINGS:,} texts")
        if self._keep(count):
            return tuple(self._string() for _ in range(count))
        left = count
        while left:
            left -= self._walk_strings(left)
        return ArraySummary("string", count)

    def _walk_strings(self, most: int) -> int:
        """Go over the strings that begin in the buffer, at most so many; how many there were."""
        buffer, start = self.reader.window(8)
        at, last, walked, unpack = start, len(buffer) - 8, 0, _U64.unpack_from
        while walked < most and at <= last:
            (length,) = unpack(buffer, at)
            if length > MAX_STRING:
                raise self._too_long(length, MAX_STRING)
            at += 8 + length
            walked += 1
        self.reader.skip(at - start)
        return walked

    def _keep(self, count: int) -> bool:
        if count > min(KEPT_ARRAY, self.elements_left):
            return False
        self.elements_left -= count
        return True

    def _string(self) -> str:
        # A description in another encoding is no reason to refuse a model.
        text = self._bytes(MAX_STRING).decode("utf-8", errors="replace")
        return self.reader.keep(text, format="gguf")

    def _name(self, what: str, most: int) -> str:
        data = self._bytes(most)
        try:
            return self.reader.keep(data.decode("utf-8"), format="gguf")
        except UnicodeDecodeError as error:
            raise self._error(f"a {what} is not UTF-8: {data!r:.120}") from error

    def _bytes(self, most: int) -> bytes:
        length = self._number(_U64)
        if length > most:
            raise self._too_long(length, most)
        return self.reader.take(length)

    def _number(self, struct: Struct) -> Any:
        return struct.unpack(self.reader.take(struct.size))[0]

    def _alignment(self, metadata: Mapping[str, Value]) -> int:
        alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        assert isinstance(alignment, int)
        if not 0 < alignment <= MAX_ALIGNMENT or alignment & (alignment - 1):
            raise self._error(
                f"general.alignment is {alignment}, not a power of two up to {MAX_ALIGNMENT}"
            )
        return alignment

    def _tensors(self, count: int, alignment: int) -> tuple[GGUFTensor, ...]:
        self._check_count(count, MAX_TENSORS, _LEAST_TENSOR, "tensors")
        tensors = []
        names: set[str] = set()
        for _ in range(count):
            tensor = self._tensor()
            if tensor.name in names:
                raise self._error(f"the tensor {tensor.name!r:.120} comes twice")
            if tensor.offset % alignment:
                raise self._tensor_error(tensor, f"its offset is no multiple of {alignment}")
            if self.reader.position + tensor.offset + tensor.nbytes > self.reader.size:
                raise self._tensor_error(tensor, "it reaches beyond the end of the file")
            names.add(tensor.name)
            tensors.append(tensor)
        return tuple(tensors)

    def _tensor(self) -> GGUFTensor:
        name = self._name("tensor name", MAX_TENSOR_NAME)
        rank = self._number(_U32)
        if rank > MAX_DIMENSIONS:
            raise self._error(
                f"the tensor {name!r:.120} has {rank} dimensions, more than {MAX_DIMENSIONS}"
            )
        shape = _SHAPES[rank].unpack(self.reader.take(8 * rank))
        number, offset = _TYPE_AND_OFFSET.unpack(self.reader.take(_TYPE_AND_OFFSET.size))
        kind = GGML_TYPES.get(number)
        if kind is None:
            raise self._error(f"the tensor {name!r:.120} has the unknown type {number}")
        if 0 in shape:
            # llama.cpp divides by dimensions while it checks them.
            raise self._error(f"the tensor {name!r:.120} has a dimension of 0")
        return GGUFTensor(name, shape, kind.name, offset, self._nbytes(name, shape, kind))

    def _nbytes(self, name: str, shape: tuple[int, ...], kind: GGMLType) -> int:
        row = shape[0] if shape else 1
        if row % kind.block:
            raise self._error(
                f"the tensor {name!r:.120} has rows of {row} elements, no multiple of the "
                f"{kind.block} that {kind.name} packs together"
            )
        nbytes = row // kind.block * kind.bytes
        for length in shape[1:]:
            nbytes *= length
        return nbytes

    def _check_places(self, tensors: tuple[GGUFTensor, ...], data_start: int) -> None:
        end, before = 0, ""
        for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
            if tensor.offset < end:
                raise self._tensor_error(tensor, f"it overlaps {before!r:.120}")
            end, before = tensor.offset + tensor.nbytes, tensor.name
            if data_start + end > self.reader.size:
                raise self._tensor_error(tensor, "it reaches beyond the end of the file")

    def _check_count(self, count: int, most: int, least: int, what: str, *, read: bool = True) -> None:
        """Refuse a count before looping over it: by its limit, and by what is left of the file."""
        if count > most:
            raise self._error(f"it claims {count:,} {what}, more than {most:,}")
        room = self.reader.affordable if read else self.reader.remaining
        if count * least > room:
            raise self._error(
                f"it claims {count:,} {what}, of at least {least} bytes each, where {room:,} are left"
            )

    def _too_long(self, length: int, most: int) -> FormatError:
        return self._error(f"a text claims {length:,} bytes, more than {most:,}")

    def _tensor_error(self, tensor: GGUFTensor, problem: str) -> FormatError:
        return self._error(
            f"the tensor {tensor.name!r:.120} at offset {tensor.offset:,} with {tensor.nbytes:,} "
            f"bytes is wrong: {problem}",
            tensor=tensor.name[:120],
        )

    def _error(self, problem: str, **details: Any) -> FormatError:
        return self.reader.error(problem, format="gguf", **details)


def _unknown_version(version: int) -> str:
    if version & 0xFFFF == 0:
        return "it is a big-endian GGUF file; modelhub reads little-endian ones"
    if version == 1:
        return "it is GGUF version 1, which llama.cpp gave up in 2023; modelhub reads 2 and 3"
    return f"it is GGUF version {version}; modelhub reads 2 and 3"
