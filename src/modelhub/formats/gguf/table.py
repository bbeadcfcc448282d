"""The tensor table of a GGUF file, read where that of a like file stands.

Quantizations of one model differ in a few values of their metadata and in the types in their
tensor tables. So who has read one header whole, whose tokenizer may have megabytes, knows within
some bytes where the tables of the others begin, and what they must say but for types and offsets.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from struct import Struct, pack

from modelhub.formats.ggml import FILE_TYPES, GUESSED
from modelhub.formats.gguf.header import GGUFHeader
from modelhub.formats.gguf.mix import mixed_precision
from modelhub.formats.gguf.parser import Parser
from modelhub.formats.gguf.tensor import GGUFTensor
from modelhub.formats.reader import RangeReader
from modelhub.refs import Precision

__all__ = ["HEAD_BYTES", "GGUFTable", "TablePlace", "read_gguf_table"]

HEAD_BYTES = 24
"""Magic, version, and how many tensors and metadata keys there are."""

SLACK = 4 << 10
"""How much earlier or later than learnt a table may begin. Where an importance matrix came from is
told in a few hundred bytes of metadata, which not every quantization has."""

MAX_CANDIDATES = 8
_TYPE_AND_OFFSET = 12
_LENGTH, _U32 = Struct("<Q"), Struct("<I")
_FILE_TYPE = pack("<Q", 17) + b"general.file_type" + pack("<I", 4)


@dataclass(frozen=True, slots=True)
class GGUFTable:
    """The tensors of a file whose metadata was not read, but for `file_type` where it was seen."""

    tensors: tuple[GGUFTensor, ...]
    file_type: int | None
    header_bytes: int
    data_start: int

    @property
    def parameters(self) -> int:
        """Elements of all tensors in this file."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def stated_precision(self) -> Precision | None:
        """What `file_type` means; `None` where it was not seen."""
        return FILE_TYPES.get(-1 if self.file_type is None else self.file_type)

    @property
    def mix(self) -> Precision | None:
        """The precision by the tensors' own types."""
        return mixed_precision(self.tensors)

    @property
    def precision(self) -> Precision | None:
        """By `file_type` where it was seen, else by the tensors' types."""
        return self.stated_precision or self.mix


@dataclass(frozen=True, slots=True)
class TablePlace:
    """Where the table of a like file begins, and its rows up to the types: `rows` by their names."""

    start: int
    length: int
    alignment: int
    rows: Mapping[bytes, bytes]

    @classmethod
    def learn(cls, headers: Sequence[GGUFHeader]) -> "TablePlace":
        """From the header of a model, or those of all its shards, the first one first."""
        rows = {tensor.name.encode(): _row(tensor) for header in headers for tensor in header.tensors}
        length = sum(len(row) + _TYPE_AND_OFFSET for row in rows.values())
        return cls(headers[0].table_start, length, headers[0].alignment, rows)


def read_gguf_table(reader: RangeReader, place: TablePlace, *, shard: bool = False) -> GGUFTable | None:
    """The table of a like file; `None` where there is none with the same names and shapes.

    `reader` stands at the file's beginning and was made with `first=HEAD_BYTES`: that much is
    asked for, and the table with `SLACK` on either side. Of a `shard` some of the names will do.

    Raises:
        FormatError: for what is no GGUF file, or whose tensors are not where they must be.
    """
    parser = Parser(reader)
    _, count, _ = parser.preamble()
    if not (0 < count < len(place.rows) if shard else count == len(place.rows)):
        return None
    start = max(HEAD_BYTES, place.start - SLACK)
    length = min(place.start + place.length + SLACK, reader.size) - start
    if length <= 0:
        return None
    reader.skip(start - HEAD_BYTES)
    buffer, at = reader.window(length)
    window = buffer[at : at + length]
    found = _find(window, place, count, place.start - start)
    if found is None:
        return None
    reader.skip(found)
    tensors, data_start = parser.table(count, place.alignment)
    return GGUFTable(tensors, _file_type(window[:found]), reader.position, data_start)


def _row(tensor: GGUFTensor) -> bytes:
    name, rank = tensor.name.encode(), len(tensor.shape)
    return pack(f"<Q{len(name)}sI{rank}Q", len(name), name, rank, *tensor.shape)


def _find(window: bytes, place: TablePlace, count: int, likely: int) -> int | None:
    candidates = (likely, *islice(_candidates(window, place.rows.values()), MAX_CANDIDATES))
    return next((at for at in candidates if _is_table(window, at, place.rows, count)), None)


def _candidates(window: bytes, rows: Collection[bytes]) -> Iterator[int]:
    """Where rows begin that could be the first, the foremost first."""
    most = 2 * SLACK
    hits = (window.find(row, 0, most + len(row)) for row in rows)
    yield from sorted(hit for hit in hits if hit >= 0)


def _is_table(window: bytes, at: int, rows: Mapping[bytes, bytes], count: int) -> bool:
    """Whether `count` rows of `rows` begin at `at`, each another one."""
    seen = set()
    for _ in range(count):
        if at + _LENGTH.size > len(window):
            return False
        (length,) = _LENGTH.unpack_from(window, at)
        name = window[at + _LENGTH.size : at + _LENGTH.size + min(length, len(window))]
        row = rows.get(name)
        if row is None or name in seen or not window.startswith(row, at):
            return False
        seen.add(name)
        at += len(row) + _TYPE_AND_OFFSET
    return at <= len(window)


def _file_type(before: bytes) -> int | None:
    """llama.cpp's quantizer writes it last, so that it stands just before the table."""
    at = before.rfind(_FILE_TYPE)
    end = at + len(_FILE_TYPE)
    if at < 0 or end + _U32.size > len(before):
        return None
    number: int = _U32.unpack_from(before, end)[0]
    return None if number & GUESSED else number
