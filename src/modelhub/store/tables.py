"""The checksums of finished blobs' blocks, one file a blob; see `blocks`."""

import errno

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.blocks import BlockTable
from modelhub.store.folders import Folders, folder_in, unique
from modelhub.store.fsops import CREATE, READ, discard, opened, pwrite_all, read_all

_NO_TABLE = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENXIO, errno.EIO})


class Tables:
    """The block tables of one store. Only hints: without one, nothing is lost but a shorter repair."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._ops = folders.ops

    def read(self, digest: Digest) -> BlockTable | None:
        """The table of a blob; `None` where there is none, or a damaged one."""
        try:
            with opened(self._ops, layout.blob_name(digest), READ, dir_fd=self._folders.tables) as fd:
                table = BlockTable.decode(read_all(self._ops, fd))
        except OSError as error:
            if error.errno not in _NO_TABLE:
                raise
            return None
        return table if table and table.digest == digest and None not in table.checksums else None

    def write(self, table: BlockTable) -> None:
        """Keep a table, in place of what is there. It is not made durable: a torn one is none."""
        temp, tmp = unique("table"), self._folders.tmp
        with opened(self._ops, temp, CREATE, 0o444, dir_fd=tmp) as fd:
            pwrite_all(self._ops, fd, memoryview(table.encode()), 0)
        with folder_in(self._ops, table.digest[:2], self._folders.tables) as shard:
            self._ops.rename(temp, table.digest, source_fd=tmp, target_fd=shard)

    def discard(self, digest: Digest) -> None:
        """Remove a table that may be gone already."""
        discard(self._ops, layout.blob_name(digest), dir_fd=self._folders.tables)
