"""Every file operation of the store, in one small class.

A recording fake or a wrapper that fails the n-th call takes its place in tests; nothing else in
the store calls the operating system.
"""

import errno
import os
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelhub.errors import StoreUnavailable

try:
    import fcntl
except ImportError as error:
    raise StoreUnavailable(
        "modelhub's store needs a POSIX system: Linux or macOS",
        hint="On Windows, run it in WSL.",
    ) from error

Check = Callable[[], None]
OnBytes = Callable[[int], None]

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

# From linux/fsverity.h: _IOW('f', 133, struct fsverity_enable_arg), and that: version, hash algorithm
# (1 is SHA-256), block size, salt size, salt, signature size, reserved, signature, reserved.
_ENABLE_VERITY = 0x40806685
_VERITY = struct.pack("=IIIIQIIQ88x", 1, 1, 4096, 0, 0, 0, 0, 0)
# From linux/fs.h: _IOW(0x94, 9, int)
_FICLONE = 0x40049409
# `struct flock` of fcntl(2): kind, whence, start, length, process.
_RANGE = struct.Struct("hhqqi4x")
NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL, errno.ENOSYS})
# What a file system says that lacks a kind of link, or lacks it between two places.
CANNOT = frozenset(
    {
        errno.EXDEV,
        errno.EPERM,
        errno.EMLINK,
        errno.EOPNOTSUPP,
        errno.ENOSYS,
        errno.ENOTTY,
        errno.EINVAL,
    }
)
_LONGEST_NAP = 0.05


class FsOps:
    """Thin names for the system's calls. Each raises `OSError` as the system gives it.

    Paths are relative to `dir_fd` where one is given, and the last part is never followed when
    it is a symbolic link.
    """

    def open(self, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None) -> int:
        return os.open(path, flags | os.O_CLOEXEC, mode, dir_fd=dir_fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def pread(self, fd: int, buffer: memoryview, offset: int) -> int:
        """Fill `buffer` from the left with the file's bytes from `offset` on; 0 at the end."""
        return os.preadv(fd, [buffer], offset)

    def pwrite(self, fd: int, data: memoryview, offset: int) -> int:
        return os.pwrite(fd, data, offset)

    def append(self, fd: int, data: memoryview) -> int:
        """Write to the end of a file opened with `O_APPEND`."""
        return os.write(fd, data)

    def fsync(self, fd: int) -> None:
        """Make a file's bytes, or a folder's names, survive a power cut."""
        if full := getattr(fcntl, "F_FULLFSYNC", None):  # macOS: fsync stops at the disk's cache
            fcntl.fcntl(fd, full)
        else:
            os.fsync(fd)

    def fdatasync(self, fd: int) -> None:
        """Make a file's bytes survive a power cut, its times perhaps not."""
        if sys.platform == "darwin":
            self.fsync(fd)
        else:
            os.fdatasync(fd)

    def truncate(self, fd: int, size: int) -> None:
        """Give the file so many bytes; new ones are zeros that take no room."""
        os.ftruncate(fd, size)

    def fstat(self, fd: int) -> os.stat_result:
        return os.fstat(fd)

    def lstat(self, path: str, *, dir_fd: int | None = None) -> os.stat_result:
        return os.stat(path, dir_fd=dir_fd, follow_symlinks=False)

    def free(self, fd: int) -> int | None:
        """Free bytes on the file system of `fd`; `None` where it does not say."""
        room = os.fstatvfs(fd)
        return room.f_bavail * room.f_frsize if room.f_blocks else None

    def drop_cached(self, fd: int) -> None:
        """Let the system give back what it has cached of the file, where it can be told."""
        if hasattr(os, "posix_fadvise"):  # not on macOS
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def fchmod(self, fd: int, mode: int) -> None:
        os.fchmod(fd, mode)

    def futime(self, fd: int, atime_ns: int, mtime_ns: int) -> None:
        os.utime(fd, ns=(atime_ns, mtime_ns))

    def link(self, source: str, target: str, *, source_fd: int, target_fd: int) -> None:
        """A second name; `FileExistsError` when `target` is taken."""
        os.link(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd, follow_symlinks=False)

    def rename(
        self, source: str, target: str, *, source_fd: int | None = None, target_fd: int | None = None
    ) -> None:
        """Another name, in place of what stands there."""
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)

    def symlink(self, content: str, path: str, *, dir_fd: int) -> None:
        os.symlink(content, path, dir_fd=dir_fd)

    def readlink(self, path: str, *, dir_fd: int) -> str:
        return os.readlink(path, dir_fd=dir_fd)

    def reflink(self, source: int, target: int) -> None:
        """Let `target` share the blocks of `source` until one is written (`FICLONE`)."""
        fcntl.ioctl(target, _FICLONE, source)

    def enable_verity(self, fd: int) -> None:
        """Let the kernel seal the file (`FS_IOC_ENABLE_VERITY`): nobody can change it from then on, and bytes
        that the disk spoils are an error when they are read. Links may still come and go.

        `fd` is open for reading. `OSError` with `ETXTBSY` while it is open for writing somewhere.
        """
        fcntl.ioctl(fd, _ENABLE_VERITY, _VERITY)

    def copy_range(self, source: int, target: int, offset: int, count: int) -> int:
        """Copy bytes to the same place of `target`, in the kernel: how many; 0 at the end.

        `OSError` with `ENOSYS`, `EXDEV` and the like where that cannot be.
        """
        if not hasattr(os, "copy_file_range"):
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
        return os.copy_file_range(source, target, count, offset, offset)

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        os.unlink(path, dir_fd=dir_fd)

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        os.mkdir(path, mode, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        """Remove an empty folder."""
        os.rmdir(path, dir_fd=dir_fd)

    def writable(self, path: str, *, dir_fd: int) -> bool:
        """Whether this process may make names in the folder."""
        return os.access(path, os.W_OK | os.X_OK, dir_fd=dir_fd)

    def listdir(self, fd: int) -> list[str]:
        return os.listdir(fd)

    def try_lock(self, fd: int) -> bool:
        """Take the file's advisory lock; False when another open file of it holds the lock."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self, fd: int, start: int, length: int) -> None:
        """Put a shared lock on a range of the file until `fd` is closed; a length of 0 is all of it.

        It is of the open file (`F_OFD_SETLK` in `fcntl(2)`). Without such locks, as on macOS, nothing is done.
        """
        if (command := getattr(fcntl, "F_OFD_SETLK", None)) is not None:
            fcntl.fcntl(fd, command, _RANGE.pack(fcntl.F_RDLCK, os.SEEK_SET, start, length, 0))

    def is_shared(self, fd: int, start: int) -> bool:
        """Whether another open file has a lock on that byte, by `share`."""
        if (command := getattr(fcntl, "F_OFD_GETLK", None)) is None:
            return False
        asked = _RANGE.pack(fcntl.F_WRLCK, os.SEEK_SET, start, 1, 0)
        return bool(_RANGE.unpack(fcntl.fcntl(fd, command, asked))[0] != fcntl.F_UNLCK)


def _no_bytes(_count: int) -> None:
    """Nobody to tell."""


def _no_check() -> None:
    """Nothing to ask: the work may go on."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Who looks on while bytes move: told the size of each chunk, asked whether to go on."""

    on_bytes: OnBytes = _no_bytes
    check: Check = _no_check

    @classmethod
    def of(cls, on_bytes: OnBytes | None, check: Check | None) -> Self:
        return cls(on_bytes or _no_bytes, check or _no_check)


ALONE = Watch()


def wait_lock(ops: FsOps, fd: int, watch: Watch = ALONE) -> bool:
    """Wait for the file's lock, asking `watch` meanwhile; `close` gives it back. Whether it is ours now.

    Locks here save work, never data: where the file system has none, the work goes on.
    """
    nap = 0.001
    try:
        while not ops.try_lock(fd):
            watch.check()
            time.sleep(nap)
            nap = min(2 * nap, _LONGEST_NAP)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return False
    return True


@contextmanager
def opened(
    ops: FsOps, path: str, flags: int, mode: int = 0o600, *, dir_fd: int | None = None
) -> Iterator[int]:
    """An open file that is closed at the end."""
    fd = ops.open(path, flags, mode, dir_fd=dir_fd)
    try:
        yield fd
    finally:
        ops.close(fd)


def make_folders(ops: FsOps, path: Path) -> None:
    """Make a folder and those above it, as far as they are missing; each is durable in the one above."""
    try:
        ops.mkdir(str(path))
    except FileExistsError:
        return
    except FileNotFoundError:
        make_folders(ops, path.parent)
        try:
            ops.mkdir(str(path))  # once more, not for ever: in /proc nothing can be made
        except FileExistsError:
            return
    with opened(ops, str(path.parent), os.O_RDONLY | os.O_DIRECTORY) as above:
        ops.fsync(above)


def pwrite_all(ops: FsOps, fd: int, data: memoryview, offset: int) -> None:
    """All of `data` from `offset` on, however few bytes the system takes at a time."""
    while data:
        count = ops.pwrite(fd, data, offset)
        data, offset = data[count:], offset + count


def discard(ops: FsOps, path: str, *, dir_fd: int | None = None) -> None:
    """Remove a name that may be gone already."""
    try:
        ops.unlink(path, dir_fd=dir_fd)
    except FileNotFoundError:
        return


def on_disk(look: os.stat_result) -> int:
    """The bytes that a file takes on its disk: `st_blocks` counts 512 each, whatever its blocks are (`stat(2)`)."""
    return look.st_blocks * 512


def read_all(ops: FsOps, fd: int, offset: int = 0) -> bytes:
    """What a file has from `offset` on, as far as it goes now."""
    buffer = memoryview(bytearray(max(0, ops.fstat(fd).st_size - offset)))
    done = 0
    while done < len(buffer) and (count := ops.pread(fd, buffer[done:], offset + done)):
        done += count
    return bytes(buffer[:done])
