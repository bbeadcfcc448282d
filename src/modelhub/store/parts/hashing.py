"""The hash of a file that is still being written, as far as it is whole from its start."""

import errno
import hashlib
import threading

from modelhub.refs import Digest
from modelhub.store.fsops import Check, FsOps

_CHUNK = 256 << 10  # stays in the cache of a core
_NAP = 0.05


class Follower:
    """Hashes a file through the page cache, in a thread of its own once `start` was called.

    It follows `advance`, which says how far the file is whole. An error of its thread is raised by
    `digest`.
    """

    def __init__(self, ops: FsOps, fd: int, name: str) -> None:
        self._ops = ops
        self._fd = fd
        self._name = name
        self._sha = hashlib.sha256()
        self._buffer = memoryview(bytearray(_CHUNK))
        self._change = threading.Condition()
        self._hashed = self._end = 0
        self._stopped = False
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Hash from now on while the file is being written."""
        self._thread = threading.Thread(target=self._follow, name=f"hash {self._name}", daemon=True)
        self._thread.start()

    def advance(self, end: int) -> None:
        """The file's first `end` bytes are whole, and are not written again."""
        with self._change:
            self._end = end
            self._change.notify_all()

    def stop(self) -> None:
        """End the thread; twice does no harm."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        if self._thread:
            self._thread.join()

    def digest(self, check: Check) -> Digest:
        """The hash of all bytes up to the last `advance`."""
        if self._thread is None:
            while self._hashed < self._end:
                check()
                self._hash(self._end)
        with self._change:
            while self._hashed < self._end and self._failure is None:
                check()
                self._change.wait(_NAP)
        if self._failure:
            raise self._failure
        return Digest(self._sha.hexdigest())

    def _follow(self) -> None:
        try:
            while (end := self._next()) is not None:
                self._hash(end)
        except Exception as error:  # noqa: BLE001 -- raised by `digest`
            with self._change:
                self._failure = error
                self._change.notify_all()

    def _next(self) -> int | None:
        """How far to hash now; `None` when it is over."""
        with self._change:
            while self._hashed == self._end and not self._stopped:
                self._change.notify_all()
                self._change.wait()
            return None if self._stopped else self._end

    def _hash(self, end: int) -> None:
        count = self._ops.pread(self._fd, self._buffer[: end - self._hashed], self._hashed)
        if not count:
            raise OSError(errno.EIO, "it was cut off while it was hashed")
        self._sha.update(self._buffer[:count])
        self._hashed += count
