"""One HTTP answer: what its head promises, and its body held to that."""

import re
from collections.abc import Callable
from http.client import HTTPException
from typing import NamedTuple

from modelhub.errors import SourceError, SourceUnavailable
from modelhub.sources.transport.address import Address
from modelhub.sources.transport.bounded import BoundedResponse, EndlessError
from modelhub.sources.transport.connections import Connection
from modelhub.sources.transport.limits import Limits
from modelhub.sources.transport.retry import Transient
from modelhub.sources.transport.stop import Stop

_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")
_SKIP = 256 * 1024
_DRAIN = 64 * 1024


class Span(NamedTuple):
    """Where a body's bytes stand in their file; `stop` and `total` are `None` where unsaid."""

    start: int
    stop: int | None
    total: int | None


class Answer:
    """The body of an answer, from byte `start` of the file on.

    A body that ends before its promised length, or breaks off, raises `Transient`; one that is not
    there in time `SourceUnavailable`, unless it was `release`d.
    """

    def __init__(
        self,
        address: Address,
        connection: Connection,
        raw: BoundedResponse,
        give: Callable[[Connection], None],
        limits: Limits,
        stop: Stop,
    ) -> None:
        self.address = address
        self.status = raw.status
        self.headers = raw.headers
        self.total: int | None = None
        self._connection = connection
        self._raw = raw
        self._give = give
        self._limits = limits
        self._stop = stop
        self._left = raw.length
        self._closed = False

    def release(self) -> None:
        """Give the body all the time that it takes."""
        self._raw.release()

    def align(self, start: int, end: int | None) -> None:
        """Make the next byte the one at `start`, and the last the one before `end`.

        Raises:
            SourceError: when the answer is not about that range.
            Transient: when the body breaks off on the way to `start`.
        """
        span = self._span()
        wrong = span.start not in (0, start) or (self.status == 206 and span.start != start)
        if wrong or (end is not None and self.status == 206 and (span.stop or 0) > end):
            raise SourceError(
                f"{self.address} answered with the range {self.headers.get('Content-Range')!r:.80} "
                f"where bytes {start} to {'the end' if end is None else end} were asked for",
                hint="The server or a proxy on the way handles ranges wrongly.",
            )
        self.total = span.total
        self._skip(start - span.start)
        if end is not None:
            self._left = end - start if self._left is None else min(self._left, end - start)

    def readinto(self, buffer: memoryview) -> int:
        """Fill `buffer` from the left; 0 at the end."""
        want = len(buffer) if self._left is None else min(len(buffer), self._left)
        if not want:
            return 0
        try:
            count = self._raw.readinto(buffer[: self._limits.portion(want)])
        except EndlessError as error:
            raise self._broken(str(error)).error from error
        except (OSError, HTTPException) as error:
            raise self._broken(type(error).__name__) from error
        if not count and self._left is not None:
            raise self._broken(f"{self._left} bytes are missing")
        if self._left is not None:
            self._left -= count
        self._limits.spend(count, self._stop)
        return count

    @property
    def etag(self) -> str | None:
        """The strong validator of the version that it is of (RFC 9110 §8.8.3); weak ones say too little."""
        value = (self.headers.get("ETag") or "").strip()
        return value if re.fullmatch(r'"[\x21\x23-\x7e]{1,256}"', value) else None

    def read(self, limit: int) -> bytes:
        """The rest of the body, at most `limit` bytes."""
        body = bytearray(min(limit, self._left if self._left is not None else limit))
        view, done = memoryview(body), 0
        while done < len(body) and (count := self.readinto(view[done:])):
            done += count
        return bytes(view[:done])

    def drain(self) -> bytes:
        """The short body of a redirect or an error, so that the connection can be used again."""
        try:
            return self.read(_DRAIN)
        except Transient:
            # What an error or a redirect says stands in its head; its body may be lost.
            return b""
        finally:
            self.close()

    def close(self) -> None:
        """Keep the connection if the body was read to its end, else close it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._stop.discard(self._connection)
        # http.client does not mark an empty body as read.
        whole = (self._raw.isclosed() or self._raw.length == 0) and not self._raw.will_close
        self._raw.close()
        if whole:
            self._give(self._connection)
        else:
            self._connection.close()

    def _span(self) -> Span:
        if self.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise self._unusable("its body is compressed, though it was asked not to be")
        length = self._raw.length
        if self.status != 206:
            return Span(0, length, length)
        match = _CONTENT_RANGE.fullmatch((self.headers.get("Content-Range") or "").strip())
        if match is None:
            raise self._unusable("its Content-Range is missing or malformed")
        start, stop = int(match[1]), int(match[2]) + 1
        if start >= stop or (length is not None and length != stop - start):
            raise self._unusable("its Content-Range contradicts its length")
        # A body without a length of its own (chunked) is held to the range.
        self._left = stop - start
        return Span(start, stop, None if match[3] == "*" else int(match[3]))

    def _skip(self, count: int) -> None:
        """Read and forget: a server that knows no ranges sends the file from its start."""
        waste = memoryview(bytearray(min(count, _SKIP)))
        while count > 0 and (read := self.readinto(waste[: min(count, _SKIP)])):
            count -= read

    def _broken(self, what: str) -> Transient:
        return Transient(
            SourceUnavailable(
                f"{self.address} broke off ({what})",
                hint="Try again; what has arrived so far was not used.",
            )
        )

    def _unusable(self, problem: str) -> SourceError:
        return SourceError(
            f"{self.address} gave an unusable answer: {problem}",
            hint="A proxy or mirror on the way may have changed it.",
        )
