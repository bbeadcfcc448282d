"""The file beside a part that tells which of its blocks are durable.

It has two slots, written in turn and each with a checksum of its own: whoever dies while writing one
leaves the other. Both are made before the part's first byte, so they can still be written on a disk
that is full.
"""

import errno
import os
from contextlib import suppress

from modelhub.refs import Digest
from modelhub.store.blocks import Blocks, BlockTable, length
from modelhub.store.folders import Folders
from modelhub.store.fsops import READ, discard, opened, pwrite_all, read_all

SUFFIX = ".blocks"

# Bytes: both tables of a file of 50 TB.
_LIMIT = 64 << 20
_WRITE = os.O_WRONLY | os.O_NOFOLLOW
# A symbolic link stands there, or a device.
_NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO, errno.EISDIR})


class Sidecar:
    """The tables of the part `part`. Its user holds the part."""

    def __init__(self, folders: Folders, part: str, digest: Digest, blocks: Blocks) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._tmp = folders.tmp
        self.name = part + SUFFIX
        self._digest = digest
        self._blocks = blocks
        self._number = 0

    def load(self) -> BlockTable | None:
        """The newest table; `None` where there is none of this file."""
        table = newest(self._folders, self.name.removesuffix(SUFFIX))
        if table is None or (table.digest, table.blocks) != (self._digest, self._blocks):
            return None
        self._number = table.number
        return table

    def create(self) -> None:
        """Start over: both slots, empty."""
        self.discard()
        flags = _WRITE | os.O_CREAT | os.O_EXCL
        with opened(self._ops, self.name, flags, 0o600, dir_fd=self._tmp) as fd:
            pwrite_all(self._ops, fd, memoryview(bytes(2 * length(self._blocks))), 0)
        self._number = 0

    def save(self, checksums: tuple[int | None, ...]) -> None:
        """Make durable which blocks are; the caller has made the blocks so before."""
        self._number += 1
        table = BlockTable(self._digest, self._blocks, checksums, self._number)
        at = self._number % 2 * length(self._blocks)
        with opened(self._ops, self.name, _WRITE, dir_fd=self._tmp) as fd:
            pwrite_all(self._ops, fd, memoryview(table.encode()), at)
            self._ops.fsync(fd)
        if self._number == 1:
            self._ops.fsync(self._tmp)  # the names, too

    def claim(self, part: str) -> None:
        """Follow the part to another name, if there is anything to follow with."""
        target = part + SUFFIX
        if target != self.name:
            with suppress(FileNotFoundError):
                self._ops.rename(self.name, target, source_fd=self._tmp, target_fd=self._tmp)
            self.name = target

    def discard(self) -> None:
        """Remove it, if it is there."""
        discard(self._ops, self.name, dir_fd=self._tmp)


def newest(folders: Folders, part: str) -> BlockTable | None:
    """The newest table of the part of this name; `None` where there is none."""
    try:
        with opened(folders.ops, part + SUFFIX, READ, dir_fd=folders.tmp) as fd:
            if folders.ops.fstat(fd).st_size > _LIMIT:
                return None
            data = read_all(folders.ops, fd)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    half = len(data) // 2
    tables = filter(None, map(BlockTable.decode, (data[:half], data[half:])))
    return max(tables, key=lambda one: one.number, default=None)
