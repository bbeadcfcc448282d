"""What the file system under a store can do."""

from collections.abc import Callable
from contextlib import suppress

from modelhub.errors import InvalidInput
from modelhub.facts import StoreCapabilities
from modelhub.store.folders import Folders, unique
from modelhub.store.fsops import CANNOT, CREATE, discard, opened, pwrite_all
from modelhub.store.layout import LinkChoice, LinkMode


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
                verity=folders.verity,
            )
    finally:
        for name in names:
            for fd in {folders.tmp, folders.staging}:
                with suppress(OSError):
                    discard(ops, name, dir_fd=fd)


def links(can: StoreCapabilities) -> frozenset[LinkMode]:
    """The kinds of links that are worth trying; a copy always is."""
    return frozenset(way for way in LinkMode if way is LinkMode.COPY or getattr(can, way))


def require_link_mode(can: StoreCapabilities, mode: LinkChoice, store: str) -> None:
    """Refuse a way to link that the file system does not have.

    Raises:
        InvalidInput
    """
    if mode == "auto" or LinkMode(mode) in links(can):
        return
    raise InvalidInput(
        f"link_mode: the file system of {store} cannot {mode}; it has {can}",
        hint="Take link_mode='auto', or 'copy', which every file system can.",
        field="link_mode",
    )


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
