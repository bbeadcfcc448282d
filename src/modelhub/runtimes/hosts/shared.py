"""Large buffers between processes: memory that the sender can no longer change, passed as a file.

On Linux a sealed memory file (`memfd_create(2)`, `F_ADD_SEALS` in `fcntl(2)`) that the receiver maps:
one copy in all. A file without seals could be cut while it is mapped, which would end the reader by
a signal: such a one, and any on other systems, is read into memory instead.
"""

import fcntl
import mmap
import os
import sys
import tempfile

LINUX = sys.platform == "linux"


def share(buffer: memoryview) -> int:
    """A file with these bytes; the caller closes it."""
    if not LINUX:
        with tempfile.TemporaryFile() as file:
            file.write(buffer)
            file.flush()
            return os.dup(file.fileno())
    fd = os.memfd_create("modelhub", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        done = 0
        while done < len(buffer):
            done += os.write(fd, buffer[done:])
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(fd)
        raise
    return fd


def received(fd: int, size: int) -> memoryview:
    """The `size` bytes of a file that another process shared, read-only. Closes the file.

    Raises:
        ValueError: when the file holds less.
    """
    try:
        if os.fstat(fd).st_size < size:
            raise ValueError(f"a shared buffer of {size} bytes holds {os.fstat(fd).st_size}")
        if _is_sealed(fd):
            flags = mmap.MAP_PRIVATE | getattr(mmap, "MAP_POPULATE", 0)
            return memoryview(mmap.mmap(fd, size, flags=flags, prot=mmap.PROT_READ))
        return memoryview(_read(fd, size))
    finally:
        os.close(fd)


def _is_sealed(fd: int) -> bool:
    if not LINUX:
        return False
    try:
        return fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS == _SEALS
    except OSError:  # not a memory file
        return False


def _read(fd: int, size: int) -> bytes:
    pieces, done = [], 0
    while done < size:
        piece = os.pread(fd, min(size - done, 1 << 24), done)
        if not piece:
            raise ValueError(f"a shared buffer of {size} bytes ended after {done}")
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)


if LINUX:
    _SEALS = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
