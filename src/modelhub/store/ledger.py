"""A ledger in one plain file, so that the store works alone.

The file has one line a transaction: a JSON list of records, of which the last one for a digest
counts. Lines are only appended, each with one write under a lock and made durable; when most of them are
outdated, the file is written anew and renamed into place. A line that was cut off, or that does not
parse, is no record: its blobs are hashed or fetched again.
"""

import errno
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from heapq import nsmallest
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from modelhub.errors import InvalidInput, ModelHubError, StoreFull, StoreUnavailable
from modelhub.facts import BlobRecord, BlobState
from modelhub.refs import Digest
from modelhub.store.fsops import FsOps, make_folders, opened, pwrite_all, read_all, wait_lock

_log = logging.getLogger("modelhub.store")

_LINE = TypeAdapter(list[BlobRecord])
_READ = os.O_RDONLY | os.O_NOFOLLOW
_APPEND = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
_REWRITE = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
_WORTH_REWRITING = 1000
_NEVER = datetime.min.replace(tzinfo=UTC)


class FileLedger:
    """Remembers the blobs of one store in the file `path`. Safe between threads and processes.

    Raises:
        StoreUnavailable: when the file cannot be made, read or written.
        StoreFull: when its disk is full.
    """

    def __init__(self, path: str | os.PathLike[str], *, ops: FsOps | None = None) -> None:
        self._path = Path(path).absolute()
        self._ops = ops or FsOps()
        self._mutex = threading.Lock()
        self._known: dict[Digest, BlobRecord] = {}
        # Held open, so that the inode which was read cannot become another file's.
        self._fd: int | None = None
        self._offset = self._lines = 0
        with self._errors("make"):
            make_folders(self._ops, self._path.parent)
            with opened(self._ops, str(self._path), _APPEND, 0o644):
                self._sync_folder()

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        """The records of those that are known, as any process left them."""
        with self._mutex, self._errors("read"):
            self._catch_up()
            return {digest: self._known[digest] for digest in digests if digest in self._known}

    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        """Present blobs not hashed since `before`, the longest ago first; see `Ledger.stale`."""
        with self._mutex, self._errors("read"):
            self._catch_up()
            old = [
                record
                for record in self._known.values()
                if record.state is BlobState.PRESENT and _hashed(record) < before
            ]
        return nsmallest(limit, old, key=lambda record: (_hashed(record), record.digest))

    def record(self, records: Iterable[BlobRecord]) -> None:
        """Insert or replace records, all or none, durably."""
        batch = list(records)
        if not batch:
            return
        with self._mutex, self._errors("write"), self._locked():
            self._append(_LINE.dump_json(batch) + b"\n")
            self._catch_up()
            if self._lines > _WORTH_REWRITING and self._lines > 4 * len(self._known):
                self._rewrite()

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._mutex:
            self._forget()

    def _catch_up(self) -> None:
        """Read the lines that came since the last time."""
        fd = self._current()
        if fd is None:
            return
        news = read_all(self._ops, fd, self._offset)
        whole = news.rfind(b"\n") + 1  # what is behind it may still be arriving
        for line in news[:whole].splitlines():
            self._take(line)
        self._offset += whole

    def _current(self) -> int | None:
        """The file as it is now, open; `None` when it was removed."""
        try:
            look = self._ops.lstat(str(self._path))
        except FileNotFoundError:
            self._forget()
            return None
        if self._fd is not None:
            mine = self._ops.fstat(self._fd)
            same = (mine.st_dev, mine.st_ino) == (look.st_dev, look.st_ino)
            if same and mine.st_size >= self._offset:
                return self._fd
            self._forget()
        self._fd = self._ops.open(str(self._path), _READ)
        return self._fd

    def _forget(self) -> None:
        if self._fd is not None:
            self._ops.close(self._fd)
        self._fd, self._offset, self._lines = None, 0, 0
        self._known.clear()

    def _take(self, line: bytes) -> None:
        self._lines += 1
        if not line:
            return
        try:
            batch = _LINE.validate_json(line)
        except (ValidationError, InvalidInput):
            _log.warning("ledger_line_skipped", extra={"file_path": str(self._path)})
            return
        self._known.update((record.digest, record) for record in batch)

    def _append(self, line: bytes) -> None:
        with opened(self._ops, str(self._path), _APPEND, 0o644) as fd:
            # What a writer left that died midway must not swallow this line.
            size = self._ops.fstat(fd).st_size
            if size and read_all(self._ops, fd, size - 1) != b"\n":
                line = b"\n" + line
            data = memoryview(line)
            while data:
                data = data[self._ops.append(fd, data) :]
            self._ops.fsync(fd)

    def _rewrite(self) -> None:
        """Replace the file by one that has each record once."""
        name = f"{self._path}.new"
        lines = b"".join(_LINE.dump_json([record]) + b"\n" for record in self._known.values())
        with opened(self._ops, name, _REWRITE, 0o644) as fd:
            pwrite_all(self._ops, fd, memoryview(lines), 0)
            self._ops.fsync(fd)
        self._ops.rename(name, str(self._path))
        self._sync_folder()

    def _sync_folder(self) -> None:
        with opened(self._ops, str(self._path.parent), os.O_RDONLY | os.O_DIRECTORY) as fd:
            self._ops.fsync(fd)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time. The lock is on a file of its own, since the ledger is replaced."""
        with opened(self._ops, f"{self._path}.lock", _APPEND, 0o644) as fd:
            wait_lock(self._ops, fd)
            yield

    @contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, ModelHubError):
                raise
            text = f"cannot {doing} the store's ledger {self._path}: {error.strerror}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(text, hint="Free some space on its disk.") from error
            hint = "Name a ledger file in a folder that you may write."
            raise StoreUnavailable(text, hint=hint) from error


def _hashed(record: BlobRecord) -> datetime:
    at = record.verified_at
    return at if at is not None and at.tzinfo is not None else _NEVER
