"""Protobuf's wire format within bounds: https://protobuf.dev/programming-guides/encoding."""

from collections.abc import Iterator
from typing import Any

from modelhub.errors import FormatError
from modelhub.formats.reader import RangeReader

__all__ = ["BYTES", "VARINT", "Exhausted", "Wire", "signed"]

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_LENGTHS = {FIXED64: 8, FIXED32: 4}
_MASK = (1 << 64) - 1
_LONGEST = 10


class Exhausted(Exception):
    """So much was read that the rest is left unread."""


class Wire:
    """Walks over messages, field by field, within what it may cost: bytes, fields and jumps.

    A jump over what is not read asks the remote anew.
    """

    def __init__(self, reader: RangeReader, *, most_bytes: int, fields: int, jumps: int) -> None:
        self.reader = reader
        self.most_bytes = most_bytes
        self.fields_left = fields
        self.jumps_left = jumps

    def allow(self, *, more_bytes: int, fields: int, jumps: int) -> None:
        """Go on, for so much more than was read so far."""
        self.most_bytes = self.reader.bytes_read + more_bytes
        self.fields_left, self.jumps_left = fields, jumps

    def fields(self, length: int) -> Iterator[tuple[int, int, int]]:
        """Of each field in the next `length` bytes: its number, its kind, and a `VARINT`'s value or
        the length of another's content, which is next to be read; what is not read is jumped over.

        Raises:
            Exhausted: before a field that would cost more than is allowed.
            FormatError: where the bytes are no such message.
        """
        end = self.reader.position + length
        while self.reader.position < end:
            self._spend()
            number, kind = divmod(self._varint(end), 8)
            if kind == VARINT:
                yield self._number(number), kind, self._varint(end)
                continue
            size = self._varint(end) if kind == BYTES else _LENGTHS.get(kind)
            if size is None:
                raise self.error(f"a field has the wire type {kind}, which is none")
            left = end - self.reader.position
            if size > left:
                raise self.error(f"a field claims {size:,} bytes where {left:,} are left")
            stop = self.reader.position + size
            yield self._number(number), kind, size
            self._jump(stop - self.reader.position)

    def message(self, data: bytes) -> Iterator[tuple[int, int | bytes]]:
        """Number and value of each field of a small message: a number, or the content's bytes."""
        at = 0
        while at < len(data):
            self._spend()
            tag, at = self._decode(data, at)
            number, kind = divmod(tag, 8)
            if kind == VARINT:
                value, at = self._decode(data, at)
                yield self._number(number), value
                continue
            size, at = self._decode(data, at) if kind == BYTES else (_LENGTHS.get(kind), at)
            if size is None:
                raise self.error(f"a field has the wire type {kind}, which is none")
            if size > len(data) - at:
                raise self.error(f"a field claims {size:,} bytes where {len(data) - at:,} are left")
            yield self._number(number), data[at : at + size]
            at += size

    def varints(self, data: bytes) -> Iterator[int]:
        """The numbers that are packed in `data`."""
        at = 0
        while at < len(data):
            value, at = self._decode(data, at)
            yield value

    def error(self, problem: str, **details: Any) -> FormatError:
        """The error that says `problem` of this file, here."""
        return self.reader.error(problem, format="onnx", **details)

    def _spend(self) -> None:
        self.fields_left -= 1
        if min(self.fields_left, self.jumps_left) < 0 or self.reader.bytes_read > self.most_bytes:
            raise Exhausted

    def _jump(self, count: int) -> None:
        self.jumps_left -= self.reader.jump(count)

    def _varint(self, end: int) -> int:
        room = min(_LONGEST, end - self.reader.position)
        buffer, at = self.reader.window(room)
        value, after = self._decode(buffer, at, at + room)
        self.reader.skip(after - at)
        return value

    def _decode(self, data: bytes, at: int, end: int | None = None) -> tuple[int, int]:
        """A number of up to ten bytes, seven bits in each, and where it ends."""
        end = min(at + _LONGEST, len(data) if end is None else end)
        value = shift = 0
        while at < end:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & _MASK, at
            shift += 7
        raise self.error("a number is longer than ten bytes, or ends too soon")

    def _number(self, number: int) -> int:
        if not number:
            raise self.error("a field has the number 0, which is none")
        return number


def signed(value: int) -> int:
    """An int64 as it is meant: negative ones are written as large."""
    return value - (1 << 64) if value >> 63 else value
