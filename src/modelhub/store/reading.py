"""A blob's bytes for another store, as they lie here."""

from collections.abc import Callable
from typing import Protocol

from modelhub.store.folders import Folders


class Stream(Protocol):
    """Bytes on their way to another store. `readinto` fills a buffer from the left; 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


class FileStream:
    """The bytes of an open file from `start` to before `end`. `check` may stop it between two reads."""

    def __init__(
        self, folders: Folders, fd: int, start: int, end: int, check: Callable[[], None]
    ) -> None:
        self._folders = folders
        self._fd = fd
        self._next = start
        self._end = end
        self._check = check

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from the left: how many bytes.

        Raises:
            StoreUnavailable: the disk does not give them.
        """
        self._check()
        wanted = buffer[: self._end - self._next]
        with self._folders.errors("read", "a blob"):
            count = self._folders.ops.pread(self._fd, wanted, self._next) if wanted else 0
        self._next += count
        return count
