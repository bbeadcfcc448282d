"""Files that the hub keeps in Xet, fetched by hf-xet: chunks from storage beside the hub, put together here.

hf-xet checks no hash of what it gives; whoever takes the bytes does. What cannot be had so comes by plain
ranges, from where it stopped.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib.util import find_spec
from types import TracebackType
from typing import Any, NamedTuple, Self

from modelhub.errors import Cancelled, ModelHubError, SourceError
from modelhub.facts import RepoFile
from modelhub.sources.base import ByteStream, Reader
from modelhub.sources.transport import Address

log = logging.getLogger(__name__)

SMALLEST = 1 << 20
"""Bytes of a file that is worth the questions that Xet asks before."""
_MARGIN = 60
"""Seconds before its end when an access is asked for anew."""


class Access(NamedTuple):
    """Where a repository's chunks are, and what opens them until when (seconds since 1970)."""

    endpoint: str
    token: str
    expires: int
    refresh_url: str
    refresh_headers: Mapping[str, str]

    @classmethod
    def of(cls, answer: Mapping[str, str], refresh_url: str, headers: Mapping[str, str]) -> "Access":
        """What the hub's token route said in its headers.

        Raises:
            SourceError: when they do not say it.
        """
        said = {name.lower(): value for name, value in answer.items()}
        endpoint, token = said.get("x-xet-cas-url", ""), said.get("x-xet-access-token", "")
        expires = said.get("x-xet-token-expiration", "")
        if not (endpoint and token and expires.isdecimal()):
            raise SourceError(f"{Address.parse(refresh_url)} names no Xet storage")
        Address.parse(endpoint)
        return cls(endpoint, token, int(expires), refresh_url, headers)


def is_usable() -> bool:
    """Whether hf-xet is here, and `HF_HUB_DISABLE_XET` does not forbid it."""
    from huggingface_hub import constants

    return find_spec("hf_xet") is not None and not constants.HF_HUB_DISABLE_XET


class Xet:
    """One session of hf-xet, made when it is first needed, and anew in a child process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Any = None
        self._pid = 0
        self._known: dict[str, Access | ModelHubError] = {}

    def access(self, key: str, ask: Callable[[], Access]) -> Access:
        """What opens the storage of the repository and commit `key`: asked once, as long as it holds.

        Raises:
            ModelHubError: when `ask` does, or did before.
        """
        with self._lock:
            known = self._known.get(key)
            if known is None or (isinstance(known, Access) and known.expires < time.time() + _MARGIN):
                try:
                    known = ask()
                except ModelHubError as error:
                    known = error
                self._known[key] = known
        if isinstance(known, ModelHubError):
            raise known
        return known

    def group(self, access: Access) -> Any:
        """A group of streams with one connection to the storage."""
        import hf_xet

        with self._lock:
            if self._session is None or self._pid != os.getpid():
                self._session, self._pid = hf_xet.XetSession(), os.getpid()
            session = self._session
        return session.new_download_stream_group(
            endpoint=access.endpoint,
            token=access.token,
            token_expiry_unix_secs=access.expires,
            token_refresh_url=access.refresh_url,
            token_refresh_headers=dict(access.refresh_headers),
        )


class XetReader:
    """Ranges of one file over Xet; by `plain` from the first failure on."""

    def __init__(
        self, xet: Xet, key: str, ask: Callable[[], Access], file: RepoFile, plain: Reader
    ) -> None:
        self._xet = xet
        self._key = key
        self._ask = ask
        self._file = file
        self._plain = plain
        self._lock = threading.Lock()
        self._group: Any = None
        self._stopped = self._failed = False

    @property
    def whole_only(self) -> bool:
        return self._failed and self._plain.whole_only

    @contextmanager
    def open(self, start: int, end: int | None) -> Iterator[ByteStream]:
        end = self._file.size if end is None else min(end, self._file.size)
        with XetStream(self._chunks, self._resume, start, end) as stream:
            yield stream

    def stop(self) -> None:
        self._plain.stop()
        with self._lock:
            self._stopped, group = True, self._group
        if group is not None:
            group.abort()

    def _chunks(self, start: int, end: int) -> Any:
        """The chunks of a range, in order; `None` when they come by plain ranges."""
        import hf_xet

        self._check()
        if self._failed or start >= end:
            return None
        try:
            group = self._group or self._opened()
            info = hf_xet.XetFileInfo(self._file.xet_hash, self._file.size)
            return group.download_stream(info, start=start, end=end)
        except Exception as error:  # noqa: BLE001 - whatever hf-xet raises, plain ranges remain
            self._fail(error)
            return None

    def _opened(self) -> Any:
        """The group of this reader. The hub is asked before the lock is taken, for which `stop` would wait."""
        access = self._xet.access(self._key, self._ask)
        with self._lock:
            self._check()  # who stops from here on sees the group, and ends it
            self._group = self._group or self._xet.group(access)
            return self._group

    def _resume(
        self, start: int, end: int, error: Exception | None
    ) -> AbstractContextManager[ByteStream]:
        """The rest of a range, by plain ranges; `error` is why it is not over Xet."""
        self._check()
        if error is not None:
            self._fail(error)
        return self._plain.open(start, end)

    def _fail(self, error: Exception) -> None:
        self._check()
        self._failed = True
        code = error.code if isinstance(error, ModelHubError) else type(error).__name__
        log.warning("xet_failed", extra={"file_path": self._file.path, "error_type": code})

    def _check(self) -> None:
        if self._stopped:
            raise Cancelled("the transfer was stopped")


class XetStream:
    """The bytes `start` to `end`, chunk by chunk; the rest of them by plain ranges when that fails."""

    def __init__(
        self,
        chunks: Callable[[int, int], Any],
        resume: Callable[[int, int, Exception | None], AbstractContextManager[ByteStream]],
        start: int,
        end: int,
    ) -> None:
        self._resume = resume
        self._at, self._end = start, end
        self._left = memoryview(b"")
        self._held = ExitStack()
        self._stream: ByteStream | None = None
        self._chunks = chunks(start, end)
        if self._chunks is None and start < end:
            self._go_plain(None)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from the left; the count, 0 at the end."""
        while self._stream is None and self._at < self._end and not self._left:
            self._fill()
        if self._stream is not None:
            count = self._stream.readinto(buffer)
        else:
            count = min(len(buffer), len(self._left))
            buffer[:count] = self._left[:count]
            self._left = self._left[count:]
        self._at += count
        return count

    def _fill(self) -> None:
        try:
            chunk = memoryview(next(self._chunks))
        except StopIteration:
            self._go_plain(SourceError(f"hf-xet ended {self._end - self._at} bytes before the end"))
        except Exception as error:  # noqa: BLE001 - whatever hf-xet raises, plain ranges remain
            self._go_plain(error)
        else:
            self._left = chunk[: self._end - self._at]

    def _go_plain(self, error: Exception | None) -> None:
        self._stream = self._held.enter_context(self._resume(self._at, self._end, error))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
        if self._chunks is not None:
            self._chunks.cancel()
