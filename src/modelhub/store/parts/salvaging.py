"""Takes the good blocks of a blob that was set aside, so that only what was damaged comes again."""

import errno
import re

from modelhub.refs import Digest
from modelhub.store.blocks import BlockTable, Span, checksum
from modelhub.store.folders import Folders
from modelhub.store.fsops import READ, FsOps, Watch, opened, pwrite_all

_BUFFER = 1 << 20
# How `Blobs` calls what it sets aside. What arrived wrong has another name: no table knows its bytes.
_ASIDE = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\Z")
_NO_COPY = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})


def salvage(
    folders: Folders, table: BlockTable | None, fd: int, known: list[int | None], watch: Watch
) -> list[int | None]:
    """Fill blocks of `fd` that are missing from quarantined files of the blob, newest first.

    `table` is that of the blob, `known` has the checksums of the blocks that are here: the same with more.
    """
    if table is None:
        return known
    for name in _aside(folders, table.digest) if None in known else ():
        with opened(folders.ops, name, READ, dir_fd=folders.quarantine) as source:
            known = _from_one(folders.ops, source, fd, table, known, watch)
    return known


def _aside(folders: Folders, digest: Digest) -> list[str]:
    """The quarantined files of a blob, newest first."""
    ops, fd = folders.ops, folders.quarantine
    found = [one for one in ops.listdir(fd) if one.startswith(digest) and _ASIDE.match(one)]
    return sorted(found, key=lambda one: ops.lstat(one, dir_fd=fd).st_ctime_ns, reverse=True)


def _from_one(
    ops: FsOps, source: int, fd: int, table: BlockTable, known: list[int | None], watch: Watch
) -> list[int | None]:
    buffer = memoryview(bytearray(_BUFFER))
    more = list(known)
    for index, wanted in enumerate(table.checksums):
        if more[index] is None:
            watch.check()
            span = table.blocks.span(index)
            if checksum(ops, source, span, buffer) == wanted:
                _copy(ops, source, fd, span, buffer)
                more[index] = wanted
                watch.on_bytes(span.end - span.start)
    return more


def _copy(ops: FsOps, source: int, target: int, span: Span, buffer: memoryview) -> None:
    """Copy a range; where the file system can, both share it from then on."""
    at = span.start
    try:
        while at < span.end and (count := ops.copy_range(source, target, at, span.end - at)):
            at += count
    except OSError as error:
        if error.errno not in _NO_COPY:
            raise
    while at < span.end:
        count = ops.pread(source, buffer[: span.end - at], at)
        if not count:
            raise OSError(errno.EIO, "a file in quarantine was cut off while it was read")
        pwrite_all(ops, target, buffer[:count], at)
        at += count
