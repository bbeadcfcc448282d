"""What the file system under a store can do."""

import errno
from collections.abc import Callable
from contextlib import suppress

from modelhub.facts import StoreCapabilities
from modelhub.store.folders import Folders, unique
from modelhub.store.fsops import CREATE, discard, opened, pwrite_all
from modelhub.store.layout import LinkMode

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


def probe(folders: Folders) -> StoreCapabilities:
    """Try each kind of link from where blobs lie to where snapshots do; nothing of it stays.

    Raises:
        StoreFull, StoreUnavailable
    """
    ops, names = folders.ops, tuple(unique("probe") for _ in range(4))
    source, *others = names
    try:
        with folders.errors("try links in"), opened(ops, source, CREATE, dir_fd=folders.tmp) as fd:
            pwrite_all(ops, fd, memoryview(bytes(4096)), 0)
            hard, soft, shared = others
            places = {"source_fd": folders.tmp, "target_fd": folders.staging}
            return StoreCapabilities(
                hardlink=_can(lambda: ops.link(source, hard, **places)),
                symlink=_can(lambda: ops.symlink(source, soft, dir_fd=folders.staging)),
                reflink=_can(lambda: _reflink(folders, fd, shared)),
                locks=folders.locks,
            )
    finally:
        for name in names:
            for fd in {folders.tmp, folders.staging}:
                with suppress(OSError):
                    discard(ops, name, dir_fd=fd)


def links(can: StoreCapabilities) -> frozenset[LinkMode]:
    """The kinds of links that are worth trying; a copy always is."""
    return frozenset(way for way in LinkMode if way is LinkMode.COPY or getattr(can, way))


def _reflink(folders: Folders, source: int, name: str) -> None:
    with opened(folders.ops, name, CREATE, dir_fd=folders.staging) as target:
        folders.ops.reflink(source, target)


def _can(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except OSError as error:
        if error.errno not in CANNOT:
            raise
        return False
    return True
