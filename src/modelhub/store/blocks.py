"""Checksums of a file's blocks: they tell *where* bytes are wrong, so that a repair need not fetch all.

A block is 8 MiB at a multiple of 8 MiB; the last one is shorter. Its checksum is a CRC-32: four times
as fast as SHA-256, and computed while the bytes pass. It never vouches for a file, only the SHA-256 of
the whole does. A table that is damaged, or belongs to other bytes, is no table, and never an error.
"""

import hashlib
import struct
import zlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from modelhub.refs import Digest
from modelhub.store.fsops import ALONE, FsOps, Watch

BLOCK = 8 << 20
"""Bytes of a block."""

_CHUNK = 1 << 20
_MAGIC = b"MHBLOCK1"
# Magic, block size, size of the file, its digest, running number of the table.
_HEADER = struct.Struct(">8sIQ32sQ")
_SEAL = 32


class Span(NamedTuple):
    """A range of bytes: `start` is in it, `end` is not."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Blocks:
    """How a file of `size` bytes is cut into blocks of `block` bytes."""

    size: int
    block: int = BLOCK

    def __len__(self) -> int:
        return (self.size + self.block - 1) // self.block

    def span(self, index: int) -> Span:
        """The bytes of one block."""
        start = index * self.block
        return Span(start, min(start + self.block, self.size))

    def spans(self, indices: Iterable[int]) -> tuple[Span, ...]:
        """The bytes of some blocks, given in ascending order; neighbours are one span."""
        joined: list[Span] = []
        for index in indices:
            start, end = self.span(index)
            if joined and joined[-1].end == start:
                start = joined.pop().start
            joined.append(Span(start, end))
        return tuple(joined)


@dataclass(frozen=True, slots=True)
class BlockTable:
    """The checksums of the blocks of the file with this digest; `None` where a block is not known.

    `number` grows from one table of a file to the next.
    """

    digest: Digest
    blocks: Blocks
    checksums: tuple[int | None, ...]
    number: int = 0

    def encode(self) -> bytes:
        """As bytes: as many for each table of files of one size."""
        digest = bytes.fromhex(self.digest)
        head = _HEADER.pack(_MAGIC, self.blocks.block, self.blocks.size, digest, self.number)
        known = bytes(checksum is not None for checksum in self.checksums)
        sums = struct.pack(f">{len(self.checksums)}I", *(one or 0 for one in self.checksums))
        body = head + known + sums
        return body + hashlib.sha256(body).digest()

    @classmethod
    def decode(cls, data: bytes) -> "BlockTable | None":
        """The table that `encode` made; `None` for anything else."""
        body, seal = data[:-_SEAL], data[-_SEAL:]
        if len(body) < _HEADER.size or hashlib.sha256(body).digest() != seal:
            return None
        magic, block, size, digest, number = _HEADER.unpack_from(body)
        if magic != _MAGIC or not block or len(data) != length(blocks := Blocks(size, block)):
            return None
        sums = struct.unpack_from(f">{len(blocks)}I", body, _HEADER.size + len(blocks))
        known = body[_HEADER.size : _HEADER.size + len(blocks)]
        checksums = tuple(one if flag else None for flag, one in zip(known, sums, strict=True))
        return cls(Digest(digest.hex()), blocks, checksums, number)


def length(blocks: Blocks) -> int:
    """How many bytes a table of a file that is cut so has."""
    return _HEADER.size + 5 * len(blocks) + _SEAL


def checksum(ops: FsOps, fd: int, span: Span, buffer: memoryview) -> int | None:
    """The checksum of the bytes of `fd` in `span`, read through `buffer`; `None` where it ends before."""
    value, at = 0, span.start
    while at < span.end:
        count = ops.pread(fd, buffer[: span.end - at], at)
        if not count:
            return None
        value = zlib.crc32(buffer[:count], value)
        at += count
    return value


def matching(ops: FsOps, fd: int, table: BlockTable, watch: Watch = ALONE) -> tuple[int, ...]:
    """The blocks of `fd`, by their number, that have the bytes which the table knows."""
    buffer = memoryview(bytearray(_CHUNK))
    good: list[int] = []
    for index, known in enumerate(table.checksums):
        if known is None:
            continue
        watch.check()
        span = table.blocks.span(index)
        if checksum(ops, fd, span, buffer) == known:
            good.append(index)
        watch.on_bytes(span.end - span.start)
    return tuple(good)


def damaged(ops: FsOps, fd: int, table: BlockTable, watch: Watch = ALONE) -> tuple[Span, ...]:
    """The ranges of `fd` whose bytes are not those that the table knows, or are not known to it."""
    good = frozenset(matching(ops, fd, table, watch))
    return table.blocks.spans(index for index in range(len(table.blocks)) if index not in good)


class Summing:
    """The checksums of a file that arrives from its start to its end."""

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._sums = array("L")
        self._left = 0

    def update(self, data: memoryview) -> None:
        """Take the next bytes."""
        while data:
            if not self._left:
                self._sums.append(0)
                self._left = self._block
            piece = data[: self._left]
            self._sums[-1] = zlib.crc32(piece, self._sums[-1])
            self._left -= len(piece)
            data = data[len(piece) :]

    @property
    def checksums(self) -> Sequence[int]:
        """Those of all bytes so far."""
        return self._sums
