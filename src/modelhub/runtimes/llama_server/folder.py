"""Folders for the engines' sockets, and the removal of those whose program was killed.

A living program holds the lock of the marker in each of its folders; the system gives it back when
the program ends, however it ends.
"""

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

SOCKET = "engine.sock"
MARKER = "engine.lock"

_PREFIX = "modelhub-"
_LONGEST_SOCKET_PATH = 100
"""Bytes; systems allow 103 (macOS) to 107 (Linux)."""
_LINK_FREE = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})


class SocketFolder:
    """A new folder that only this user can enter, with a path short enough for a socket in it.

    What killed programs of this user left beside it is removed.
    """

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        if len(os.fsencode(self.path / SOCKET)) > _LONGEST_SOCKET_PATH:
            self.path.rmdir()
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir="/tmp"))
        self._lock = _mark(self.path)
        sweep(self.path.parent)

    def remove(self) -> None:
        """Remove the folder, whatever is in it. Once only."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _mark(folder: Path) -> int:
    """The marker, locked before it has its name: nobody sees one that is not."""
    unnamed = folder / f"{MARKER}.new"
    fd = os.open(unnamed, os.O_RDWR | os.O_CREAT | os.O_EXCL | _LINK_FREE, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            os.close(fd)
            raise
        return fd  # without locks there is no marker, and the folder is never swept
    unnamed.rename(folder / MARKER)
    return fd


def sweep(parent: Path) -> int:
    """Remove the folders of killed programs of this user in `parent`: how many.

    A folder without a marker, or with anything besides what an engine makes, is left alone.
    """
    return sum(_sweep_one(folder) for folder in parent.glob(f"{_PREFIX}*"))


def _sweep_one(folder: Path) -> bool:
    try:
        with _opened(folder, os.O_DIRECTORY) as fd:
            if not _mine(fd) or not _is_an_engines(fd):
                return False
            with _opened(MARKER, os.O_RDWR, fd) as marker:
                if not _mine(marker) or not stat.S_ISREG(os.fstat(marker).st_mode):
                    return False
                fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its program lives
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(SOCKET, dir_fd=fd)
                os.unlink(MARKER, dir_fd=fd)
        folder.rmdir()
    except OSError as error:  # it lives, went meanwhile, or is no folder of ours to enter
        log.debug("socket_folder_left", extra={"path": str(folder), "reason": str(error)})
        return False
    log.info("socket_folder_swept", extra={"path": str(folder)})
    return True


@contextlib.contextmanager
def _opened(path: str | Path, flags: int, dir_fd: int | None = None) -> Iterator[int]:
    fd = os.open(path, flags | _LINK_FREE, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        os.close(fd)


def _is_an_engines(folder: int) -> bool:
    return {MARKER} <= set(os.listdir(folder)) <= {MARKER, SOCKET}


def _mine(fd: int) -> bool:
    return os.fstat(fd).st_uid == os.geteuid()
