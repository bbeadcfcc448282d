"""Content that is made as it is read, so that gigabytes are served from a header and zeros."""

import io
import os
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any, BinaryIO, cast

Pieces = tuple[bytes | int, ...]


@dataclass(frozen=True)
class Sparse:
    """The bytes in `pieces`, one after the other; a number stands for so many zeros."""

    pieces: Pieces

    @cached_property
    def ends(self) -> list[int]:
        return list(accumulate(length(piece) for piece in self.pieces))

    @property
    def size(self) -> int:
        return self.ends[-1] if self.ends else 0

    def open(self, mode: str = "rb") -> BinaryIO:
        if mode != "rb":
            raise ValueError(f"what is made as it is read opens as rb, not as {mode}")
        return cast(BinaryIO, SparseStream(self))  # what the server does with one, it can do

    def read(self, start: int, end: int) -> bytes:
        """The bytes from `start` up to `end`, or to the end of the content."""
        found = bytearray()
        for piece, stop in zip(self.pieces, self.ends, strict=True):
            first = stop - length(piece)
            left, right = max(start, first), min(end, stop)
            if left < right:
                inside = (
                    piece[left - first : right - first] if isinstance(piece, bytes) else right - left
                )
                found += bytes(inside)
        return bytes(found)

    def read_text(self, encoding: str, errors: str) -> str:
        return self.read(0, self.size).decode(encoding, errors)


class SparseStream(io.RawIOBase):
    """Reads a `Sparse` as a file is read."""

    def __init__(self, content: Sparse) -> None:
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        starts = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._content.size}
        self._at = max(0, starts[whence] + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        data = self._content.read(self._at, self._at + len(view))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def length(piece: bytes | int) -> int:
    return piece if isinstance(piece, int) else len(piece)
