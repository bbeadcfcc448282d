"""Answers that must come in time: what `http.client` would wait for without end, bounded.

Its timeout is one for each silence, so a server that sends a byte now and then, or one
`100 Continue` after another, would hold a call for ever.
"""

import socket
import time
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ANSWER_SECONDS = 60.0
"""How long a head, a page or the body of an error may take."""
MAX_HEAD = 256 << 10
"""Bytes of a head, interim answers included. Real ones have a few thousand."""


SLOWEST = 1024
"""Bytes a second below which, over `SLOW_SECONDS` of waiting, a body has stalled."""
SLOW_SECONDS = 30.0


class EndlessError(OSError):
    """An answer that took its time, or more bytes than a head has. Not worth another attempt."""


class BoundedResponse(HTTPResponse):
    """An answer that must be there by `until` (`time.monotonic()`), unless it is `release`d."""

    def __init__(self, sock: socket.socket, *args: Any, until: float | None = None, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        assert isinstance(self.fp, BufferedReader)
        self._bytes = _Bounded(sock, self.fp.detach(), until or time.monotonic() + ANSWER_SECONDS)
        self.fp = BufferedReader(self._bytes)

    def begin(self) -> None:
        super().begin()
        self._bytes.left = None

    def release(self) -> None:
        """From here on only silence is bounded: the body may be a file of any length."""
        self._bytes.release()


class _Bounded(RawIOBase):
    """A socket's bytes: at most `left` of them, all before `until`."""

    def __init__(self, sock: socket.socket, raw: RawIOBase, until: float) -> None:
        self._sock = sock
        self._raw = raw
        self._silence = sock.gettimeout()
        self._until: float | None = until
        self._waited, self._came = 0.0, 0
        self.left: int | None = MAX_HEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        if self.left is not None and self.left <= 0:
            raise EndlessError(f"the head of its answer is longer than {MAX_HEAD:,} bytes")
        count = self._flowing(buffer) if self._until is None else self._in_time(buffer, self._until)
        if self.left is not None:
            self.left -= count or 0
        return count

    def release(self) -> None:
        self._until = None
        if not self.closed:
            self._sock.settimeout(self._silence)

    def close(self) -> None:
        self._raw.close()
        super().close()

    def _flowing(self, buffer: "WriteableBuffer") -> int | None:
        """Bytes of a body. Only the time that the other side takes counts, not that of who reads."""
        began = time.monotonic()
        count = self._raw.readinto(buffer)
        self._waited += time.monotonic() - began
        self._came += count or 0
        if self._waited >= SLOW_SECONDS:
            if self._came < SLOWEST * self._waited:
                raise TimeoutError(f"fewer than {SLOWEST} bytes a second came")
            self._waited, self._came = 0.0, 0
        return count

    def _in_time(self, buffer: "WriteableBuffer", until: float) -> int | None:
        time_left = until - time.monotonic()
        if time_left <= 0:
            raise EndlessError("its answer takes too long")
        self._sock.settimeout(time_left if self._silence is None else min(self._silence, time_left))
        try:
            return self._raw.readinto(buffer)
        except TimeoutError:
            if time.monotonic() < until:
                raise
            raise EndlessError("its answer takes too long") from None
