"""How headers are read: forward, in growing pieces, never more than a limit.

A header is read from a remote by ranges, so nothing knows its length beforehand. The reader asks
for a little first and for more each time, keeps only what was not yet used, and counts.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from modelhub.errors import FormatError

FIRST_BYTES = 16 << 10
"""How much the first range asks for: little, so that of a small file hardly any weight is read."""

MOST_BYTES = 2 << 20
"""What a range grows to, doubling; a single value that is longer is asked for as a whole."""

DEFAULT_LIMIT = 32 << 20
"""Bytes that one header may cost. The largest real ones are near 16 MB: vocabularies of 262,144
tokens with their merges in GGUF; safetensors allows itself 25 MB."""

KEPT_TEXT = 8 << 20
"""Bytes of memory for all texts that a header leaves behind: names, keys and values."""

HINT = "The file is damaged, or was made to mislead. Fetch it anew, or choose another repository."

ReadRange = Callable[[int, int], bytes]


class RangeReader:
    """Reads a file forward through `read(start, end) -> bytes`, of which it has `size` bytes.

    `read` gets byte positions, `end` exclusive, never beyond `size`, and must give exactly those
    bytes. `limit` bounds the bytes asked for in all. `name` is what errors call the file.

    Used from one thread, once: there is no way back.
    """

    def __init__(
        self,
        read: ReadRange,
        size: int,
        *,
        name: str = "the file",
        limit: int = DEFAULT_LIMIT,
        first: int = FIRST_BYTES,
    ) -> None:
        self.size = size
        self.name = name
        self.limit = limit
        self.bytes_read = 0
        self.text_left = KEPT_TEXT
        self._read = read
        self._end = size
        self._first = self._next = first
        self._start = 0  # where in the file the buffer begins
        self._buffer = b""
        self._at = 0  # where in the buffer we stand; beyond its end after a long skip

    @classmethod
    def from_bytes(cls, data: bytes, **options: Any) -> "RangeReader":
        """A reader of bytes that are here; `options` as for the constructor."""
        return cls(lambda start, end: data[start:end], len(data), **options)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], **options: Any) -> "RangeReader":
        """A reader of a local file; `options` as for the constructor."""
        file = Path(path)

        def read(start: int, end: int) -> bytes:
            with file.open("rb", buffering=0) as opened:
                opened.seek(start)
                return opened.read(end - start)

        return cls(read, file.stat().st_size, **{"name": file.name, **options})

    @property
    def position(self) -> int:
        """Where in the file the next byte comes from."""
        return self._start + self._at

    @property
    def remaining(self) -> int:
        """Bytes of the file (or up to `stop_at`) from here on."""
        return self._end - self.position

    @property
    def affordable(self) -> int:
        """Bytes that could still be read from here on: what the file holds, within the limit."""
        buffered = max(0, len(self._buffer) - self._at)
        return min(self.remaining, buffered + self.limit - self.bytes_read)

    def stop_at(self, end: int) -> None:
        """Ask for nothing from position `end` on, now that it is known where the header ends."""
        self._end = min(end, self.size)
        self._buffer = self._buffer[: max(0, end - self._start)]

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        buffer, at = self.window(count)
        self._at = at + count
        return buffer[at : at + count]

    def skip(self, count: int) -> None:
        """Go `count` bytes on, without asking for those that are not here yet."""
        if count > self.remaining:
            self._too_short(count)
        self._at += count

    def jump(self, count: int) -> bool:
        """`skip`, where little will be wanted behind it; whether that has to be asked for anew."""
        self.skip(count)
        beyond = self._at > len(self._buffer)
        if beyond:
            self._next = self._first
        return beyond

    def window(self, count: int) -> tuple[bytes, int]:
        """A buffer and the index of the next byte in it, with at least `count` bytes from there.

        For tight loops: look at what is in the buffer, then `skip` what was used.

        Raises:
            FormatError: when the file ends sooner, or the limit does.
        """
        missing = self._at + count - len(self._buffer)
        if count and missing > 0:
            if count > self.remaining:
                self._too_short(count)
            self._fill(count)
        return self._buffer, self._at

    def peek(self, count: int) -> bytes:
        """The next `count` bytes without moving; fewer at the file's end."""
        count = min(count, self.remaining)
        buffer, at = self.window(count)
        return buffer[at : at + count]

    def keep(self, text: str, **details: Any) -> str:
        """`text`, once its memory is counted: one rare character makes all others four bytes wide.

        Raises:
            FormatError: when all texts together are more than `KEPT_TEXT`.
        """
        self.text_left -= len(text) if text.isascii() else 4 * len(text)
        if self.text_left < 0:
            raise self.error(f"its header holds more than {KEPT_TEXT:,} bytes of text", **details)
        return text

    def error(self, problem: str, **details: Any) -> FormatError:
        """The error that says `problem` of this file, here."""
        place = {"file": self.name, "position": self.position}
        return FormatError(f"{self.name}: {problem}", hint=HINT, **place, **details)

    def _fill(self, count: int) -> None:
        kept = self._buffer[self._at :]
        start = self.position + len(kept)
        if self.position + count - start > self.limit - self.bytes_read:
            raise self.error(f"its header needs more than the {self.limit:,} bytes that may be read")
        want = max(self.position + count - start, self._next)
        end = min(start + want, self._end, start + self.limit - self.bytes_read)
        data = self._read(start, end)
        if len(data) != end - start:
            raise self.error(f"bytes {start:,} to {end:,} were asked for, and {len(data):,} bytes came")
        self._start, self._buffer, self._at = self.position, kept + data, 0
        self.bytes_read += len(data)
        self._next = min(2 * self._next, MOST_BYTES)

    def _too_short(self, count: int) -> NoReturn:
        raise self.error(
            f"it ends too soon: {count:,} bytes are promised at position {self.position:,}, "
            f"{max(0, self.remaining):,} are left"
        )
