"""safetensors headers and shard indexes, without the weights.

The format: https://github.com/huggingface/safetensors#format. What is refused here and why: row 10
of the threat table in docs/explanation/security.md. Two parsers must not read one file in two ways,
so duplicate keys, holes, overlaps and trailing bytes are refused.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.reader import HINT, RangeReader
from modelhub.refs import Precision, RepoPath

__all__ = ["SafetensorsHeader", "SafetensorsTensor", "read_index", "read_safetensors"]

MAX_HEADER = 25_000_000
MAX_TENSORS = 20_000
"""A shard of a mixture of experts with packed integers, four tensors to a matrix, can have 18,000."""
MAX_METADATA = 1 << 12
MAX_NAME = 4 << 10
MAX_ENTRY = 1 << 13
MAX_VALUE = 1 << 20
"""Of a text in the metadata; trainers keep whole logs in one."""
MAX_DIMENSIONS = 64
MAX_ALL_DIMENSIONS = 1 << 17
"""Of all tensors together."""
MAX_INDEX = 32 << 20
MAX_INDEX_ENTRIES = 1 << 20

DTYPES: dict[str, tuple[int, Precision | None]] = {
    "F64": (64, Precision.FP64),
    "F32": (32, Precision.FP32),
    "F16": (16, Precision.FP16),
    "BF16": (16, Precision.BF16),
    "F8_E4M3": (8, Precision.FP8),
    "F8_E5M2": (8, Precision.FP8),
    "F8_E4M3FNUZ": (8, Precision.FP8),
    "F8_E5M2FNUZ": (8, Precision.FP8),
    "F8_E8M0": (8, None),
    "F6_E2M3": (6, None),
    "F6_E3M2": (6, None),
    "F4": (4, Precision.FP4),
    "C64": (64, None),
    "I64": (64, None),
    "I32": (32, None),
    "I16": (16, None),
    "I8": (8, Precision.INT8),
    "U64": (64, None),
    "U32": (32, None),
    "U16": (16, None),
    "U8": (8, None),
    "BOOL": (8, None),
}
"""Bits of an element, and the precision that it means; packed integers mean none by themselves."""

_TEXT = rb'"((?:[^"\\\x00-\x1f]++|\\[^\x00-\x1f])*+)"'
_BLANK = rb"[ \t\r\n]*+"
_KEY = re.compile(_BLANK + _TEXT + _BLANK + rb":" + _BLANK)
_TENSOR = re.compile(rb"\{([^{}]*+)\}" + _BLANK)
_VALUE = re.compile(_TEXT + _BLANK)
_BLANKS = re.compile(_BLANK)


@dataclass(frozen=True, slots=True)
class SafetensorsTensor:
    """One tensor: its bytes are `start` to `end` of the data behind the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What a safetensors file says of itself. `data_start` is where its tensors begin."""

    tensors: tuple[SafetensorsTensor, ...]
    metadata: Mapping[str, str]
    data_start: int

    @property
    def dtypes(self) -> Mapping[str, int]:
        """How many elements have each dtype, most first."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors:
            counts[tensor.dtype] += prod(tensor.shape)
        return dict(counts.most_common())

    @property
    def parameters(self) -> int:
        """Elements of all tensors in this file."""
        return sum(self.dtypes.values())

    @property
    def precision(self) -> Precision | None:
        """What the dtype of most elements means; `None` for packed integers."""
        most = next(iter(self.dtypes), None)
        return DTYPES[most][1] if most else None


def read_safetensors(reader: RangeReader) -> SafetensorsHeader:
    """The header of a safetensors file.

    Raises:
        FormatError: for anything that is damaged, lying or hostile.
    """
    return _Parser(reader).header()


class _Parser:
    """Reads the header's JSON piece by piece: as a whole, a hostile one would fill the memory."""

    def __init__(self, reader: RangeReader) -> None:
        self.reader = reader
        self.end = 0
        self.dimensions_left = MAX_ALL_DIMENSIONS

    def header(self) -> SafetensorsHeader:
        self._length()
        tensors: list[SafetensorsTensor] = []
        metadata: dict[str, str] | None = None
        names: set[str] = set()
        for name in self._members(MAX_TENSORS + 1):
            if name in names:
                raise self._error(f"the name {name!r:.120} comes twice")
            names.add(name)
            if name == "__metadata__":
                metadata = self._metadata()
            else:
                tensors.append(self._tensor(name))
        self._padding()
        self._check_cover(tensors)
        return SafetensorsHeader(tuple(tensors), metadata or {}, self.end)

    def _length(self) -> None:
        length = int.from_bytes(self.reader.take(8), "little")
        if length > MAX_HEADER:
            raise self._error(f"its header claims {length:,} bytes, more than {MAX_HEADER:,}")
        if not 2 <= length <= self.reader.remaining:
            left = self.reader.remaining
            raise self._error(f"its header claims {length:,} bytes, where {left:,} are left")
        if length > self.reader.affordable:
            raise self._error(f"its header claims {length:,} bytes, more than may be read")
        self.end = 8 + length
        self.reader.stop_at(self.end)

    def _members(self, most: int) -> Iterator[str]:
        """The keys of a JSON object; the caller reads each value before it asks for the next."""
        self._mark(b"{")
        if self._peek_mark() == b"}":
            self._mark(b"}")
            return
        for _ in range(most):
            yield self._decode(self._match(_KEY, "a name", MAX_NAME)[1])
            if self._mark(b",}") == b"}":
                return
        raise self._error(f"its header has more than {most - 1:,} entries")

    def _metadata(self) -> dict[str, str]:
        metadata: dict[str, str] = {}
        for key in self._members(MAX_METADATA + 1):
            if key in metadata:
                raise self._error(f"the metadata key {key!r:.120} comes twice")
            value = self._match(_VALUE, "a text (metadata values are texts)", MAX_VALUE)
            metadata[key] = self._decode(value[1])
        self._match(_BLANKS, "blanks")
        return metadata

    def _tensor(self, name: str) -> SafetensorsTensor:
        try:
            entry = self._match(_TENSOR, "a tensor's entry", MAX_ENTRY)
            fields = _object(b"{" + entry[1] + b"}")
        except (ValueError, RecursionError) as error:
            raise self._error(f"the tensor {name!r:.120} is no JSON object: {error}") from error
        if fields.keys() != {"dtype", "shape", "data_offsets"}:
            raise self._error(f"the tensor {name!r:.120} has the fields {', '.join(fields)!r:.120}")
        dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise self._error(f"the tensor {name!r:.120} has the unknown dtype {dtype!r:.60}")
        if not _whole_numbers(shape) or not _whole_numbers(offsets) or len(offsets) != 2:
            raise self._error(f"the tensor {name!r:.120} has a shape or offsets that are no numbers")
        self.dimensions_left -= len(shape)
        if self.dimensions_left < 0:
            raise self._error(f"its tensors have more than {MAX_ALL_DIMENSIONS:,} dimensions in all")
        tensor = SafetensorsTensor(name, dtype, tuple(shape), *offsets)
        self._check_size(tensor)
        return tensor

    def _check_size(self, tensor: SafetensorsTensor) -> None:
        bits = prod(tensor.shape) * DTYPES[tensor.dtype][0]
        if bits % 8 or bits // 8 != tensor.end - tensor.start:
            raise self._error(
                f"the tensor {tensor.name!r:.120} of {bits // 8:,} bytes has "
                f"{tensor.end - tensor.start:,} bytes of data"
            )
        if self.end + tensor.end > self.reader.size:
            raise self._error(f"the tensor {tensor.name!r:.120} reaches beyond the end of the file")

    def _check_cover(self, tensors: list[SafetensorsTensor]) -> None:
        at = 0
        for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.end)):
            if tensor.start != at:
                what = "overlaps the one before" if tensor.start < at else "leaves a hole before it"
                raise self._error(f"the tensor {tensor.name!r:.120} {what}")
            at = tensor.end
        if self.end + at != self.reader.size:
            raise self._error(
                f"its tensors end at byte {self.end + at:,}, the file at byte {self.reader.size:,}"
            )

    def _padding(self) -> None:
        while self.reader.remaining:
            if not self._match(_BLANKS, "blanks")[0]:
                raise self._error("something stands behind its header's closing brace")

    def _mark(self, marks: bytes) -> bytes:
        found = self.reader.take(1)
        if found not in marks:
            raise self._error(f"its header has {found!r} where one of {marks.decode()!r} must stand")
        return found

    def _peek_mark(self) -> bytes:
        self._match(_BLANKS, "blanks")
        return self.reader.peek(1)

    def _match(self, pattern: re.Pattern[bytes], what: str, most: int = MAX_NAME) -> re.Match[bytes]:
        """Match here, with as much of the header in the buffer as it takes, up to `most` bytes."""
        want = 1
        while True:
            buffer, at = self.reader.window(min(want, self.reader.remaining))
            match = pattern.match(buffer, at, at + most)
            whole = len(buffer) - at >= min(self.reader.remaining, most)
            # A match that touches the buffer's end might go on behind it.
            if match and (whole or match.end() < len(buffer)):
                self.reader.skip(match.end() - at)
                return match
            if whole:
                raise self._error(
                    f"its header lacks {what} of at most {most:,} bytes where one must stand"
                )
            want = 2 * (len(buffer) - at + 1)

    def _decode(self, text: bytes) -> str:
        try:
            decoded = text.decode("utf-8")
            if "\\" in decoded:
                decoded = str(_DECODER.decode(f'"{decoded}"'))
                decoded.encode()  # escapes can spell half of a surrogate pair, which is no text
        except ValueError as error:
            raise self._error(f"a name or text is not JSON: {text!r:.120}") from error
        return self.reader.keep(decoded, format="safetensors")

    def _error(self, problem: str) -> FormatError:
        return self.reader.error(problem, format="safetensors")


def _whole_numbers(value: Any) -> bool:
    if not isinstance(value, list) or len(value) > MAX_DIMENSIONS:
        return False
    return all(type(item) is int and 0 <= item < 1 << 63 for item in value)


def _object(text: bytes) -> dict[str, Any]:
    # Decoded here: `json.loads` would guess at other encodings.
    value = _DECODER.decode(text.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"it is a {type(value).__name__}")  # noqa: TRY004 - JSON of another shape
    return value


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key comes twice")
    return found


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates)


def read_index(data: bytes, *, name: str = "the index") -> dict[str, RepoPath]:
    """Which shard holds each tensor, by a `*.safetensors.index.json`.

    Raises:
        FormatError: when it is not such an index, or larger than any.
        UnsafePath: when a shard's name would leave its folder.
    """
    # Counted before it is parsed: an index has three objects and no lists worth naming.
    if len(data) > MAX_INDEX or data.count(b",") > MAX_INDEX_ENTRIES:
        raise _index_error(name, "it is larger than any index")
    if data.count(b"{") + data.count(b"[") > 1000:
        raise _index_error(name, "it has more objects and lists than any index")
    try:
        shards = _object(data).get("weight_map")
    except (ValueError, RecursionError) as error:
        raise _index_error(name, f"it is no JSON object: {error}") from error
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise _index_error(name, "its weight_map does not map tensors to file names")
    paths = {shard: RepoPath(shard) for shard in set(shards.values())}
    return {tensor: paths[shard] for tensor, shard in shards.items()}


def _index_error(name: str, problem: str) -> FormatError:
    return FormatError(f"{name}: {problem}", hint=HINT, file=name, format="safetensors")
