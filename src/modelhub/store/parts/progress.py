"""Which blocks of a part are here. Pure: no files, no locks."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.errors import InvalidInput
from modelhub.store.blocks import Blocks, Span


@dataclass(frozen=True, slots=True)
class Piece:
    """What is written in one go: `length` bytes of one block.

    `checksum` is that of the block's bytes before it; `known` says that the block is here already, and
    these bytes are not needed.
    """

    index: int
    offset: int
    length: int
    checksum: int
    known: bool

    def after(self, data: memoryview) -> int:
        """The checksum of the block's bytes up to the end of this piece, which is `data`."""
        return zlib.crc32(data, self.checksum)


class Progress:
    """The blocks of one file: here (with their checksum), being written, or missing.

    A block is written from its start to its end. Nobody else writes into it meanwhile, and nobody
    after: what was hashed must not change.
    """

    def __init__(self, blocks: Blocks, checksums: Iterable[int | None]) -> None:
        self.blocks = blocks
        self._sums = list(checksums)
        self._open: dict[int, tuple[int, int]] = {}
        self._busy: set[int] = set()
        self._whole = 0
        self._step()

    @property
    def checksums(self) -> tuple[int | None, ...]:
        """Of each block; `None` where it is not here."""
        return tuple(self._sums)

    @property
    def busy(self) -> bool:
        """Whether anybody is writing."""
        return bool(self._busy)

    @property
    def whole(self) -> int:
        """How many bytes from the start are here without a gap."""
        return min(self._whole * self.blocks.block, self.blocks.size)

    @property
    def missing(self) -> tuple[Span, ...]:
        """The ranges of blocks that are not here."""
        return self.blocks.spans(index for index, known in enumerate(self._sums) if known is None)

    @property
    def present(self) -> int:
        """How many bytes are here, in whole blocks."""
        return self.blocks.size - sum(end - start for start, end in self.missing)

    def begin(self, offset: int, length: int) -> Piece:
        """What of `length` bytes at `offset` to write now. `end` or `drop` must follow.

        Raises:
            InvalidInput: the range does not begin at a block, or somebody else writes there.
        """
        index = offset // self.blocks.block
        start, end = self.blocks.span(index)
        length = min(length, end - offset)
        if self._sums[index] is not None:
            return Piece(index, offset, length, 0, known=True)
        at, checksum = self._open.get(index, (start, 0))
        if offset == start:
            at, checksum = start, 0
        if at != offset or index in self._busy:
            raise _astray(offset, start, at, index in self._busy)
        self._open.pop(index, None)
        self._busy.add(index)
        return Piece(index, offset, length, checksum, known=False)

    def end(self, piece: Piece, checksum: int) -> bool:
        """A piece was written: whether its block is whole now."""
        self._busy.discard(piece.index)
        at = piece.offset + piece.length
        if at < self.blocks.span(piece.index).end:
            self._open[piece.index] = at, checksum
            return False
        self._sums[piece.index] = checksum
        self._step()
        return True

    def drop(self, piece: Piece) -> None:
        """A piece could not be written: its block starts over."""
        self._busy.discard(piece.index)

    def _step(self) -> None:
        while self._whole < len(self._sums) and self._sums[self._whole] is not None:
            self._whole += 1


def _astray(offset: int, start: int, at: int, busy: bool) -> InvalidInput:
    reason = "somebody else is writing there" if busy else f"that block goes on at {at}"
    return InvalidInput(
        f"bytes at {offset} cannot be written: {reason}",
        hint=f"Begin a range at the start of its block, {start}, and write it in order, in one thread.",
        field="offset",
    )
