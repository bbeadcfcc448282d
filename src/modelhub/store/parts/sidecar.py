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
from modelhub.store.parts.reservations import PART

SUFFIX = ".blocks"

_WRITE = os.O_WRONLY | os.O_NOFOLLOW
# A symbolic link stands there, or a device.
_NO_FILE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENXIO})


class Sidecar:
    """The tables of the part `part`. Its user holds the part."""

    def __init__(self, folders: Folders, part: str, digest: Digest, blocks: Blocks) -> None:
        self._ops = folders.ops
        self._tmp = folders.tmp
        self.name = part.partition(".")[0] + PART + SUFFIX
        self._digest = digest
        self._blocks = blocks
        self._number = 0

    def load(self) -> BlockTable | None:
        """The newest table; `None` where there is none of this file."""
        slot = length(self._blocks)
        try:
            with opened(self._ops, self.name, READ, dir_fd=self._tmp) as fd:
                if self._ops.fstat(fd).st_size != 2 * slot:
                    return None
                data = read_all(self._ops, fd)
        except OSError as error:
            if error.errno in _NO_FILE:
                return None
            raise
        tables = filter(None, map(BlockTable.decode, (data[:slot], data[slot:])))
        ours = [one for one in tables if (one.digest, one.blocks) == (self._digest, self._blocks)]
        newest = max(ours, key=lambda one: one.number, default=None)
        self._number = newest.number if newest else 0
        return newest

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
