"""Removes from `tmp` what dead writers left there."""

import stat as modes
from collections.abc import Iterator

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.folders import Folders
from modelhub.store.fsops import NO_LOCKS, READ, discard, opened
from modelhub.store.parts.listing import resumable
from modelhub.store.parts.reservations import PART
from modelhub.store.parts.sidecar import SUFFIX
from modelhub.store.removal import GONE, remove_tree

_EVER = 1 << 63


def sweep(folders: Folders, before: int, parts_before: int) -> int:
    """Remove what was last written before `before` and has no living writer, in nanoseconds since 1970.

    Parts that somebody could go on with have until `parts_before`. How many were removed.
    """
    return sum(1 for _ in _swept(folders, before, parts_before, look=False))


def left_over(folders: Folders, before: int, parts_before: int) -> tuple[str, ...]:
    """The names in `tmp` that `sweep` would remove. Removes nothing."""
    return tuple(sorted(_swept(folders, before, parts_before, look=True)))


def _swept(folders: Folders, before: int, parts_before: int, *, look: bool) -> Iterator[str]:
    with folders.errors("sweep", layout.TMP):
        for tmp in {folders.tmp, folders.staging}:
            for name in folders.ops.listdir(tmp):
                until = parts_before if resumable(folders, name) else before
                if _sweep_one(folders, tmp, name, until, look=look):
                    yield name


def remove_parts(folders: Folders, digest: Digest) -> int:
    """Remove what dead writers left of one blob: how many. Where nobody can tell who lives, none."""
    if not folders.locks:
        return 0
    with folders.errors("sweep", layout.TMP):
        names = [one for one in folders.ops.listdir(folders.tmp) if one.startswith(f"{digest}.")]
        return sum(_sweep_one(folders, folders.tmp, one, _EVER) for one in names if one.endswith(PART))


def _sweep_one(folders: Folders, tmp: int, name: str, before: int, *, look: bool = False) -> bool:
    """Remove one; with `look`, only say whether it would be."""
    ops = folders.ops
    try:
        seen = ops.lstat(name, dir_fd=tmp)
        if seen.st_mtime_ns > before:
            return False
        if modes.S_ISDIR(seen.st_mode):
            return _sweep_folder(folders, tmp, name, look=look)
        if name.endswith(PART + SUFFIX):
            return _sweep_table(folders, tmp, name, look=look)
        if modes.S_ISREG(seen.st_mode):
            return _sweep_file(folders, tmp, name, look=look)
        if not look:
            discard(ops, name, dir_fd=tmp)
    except FileNotFoundError:
        return False  # its writer ended
    return True


def _sweep_file(folders: Folders, tmp: int, name: str, *, look: bool) -> bool:
    """Remove a file while its lock is ours, so that nobody takes it over meanwhile."""
    ops = folders.ops
    with opened(ops, name, READ, dir_fd=tmp) as fd:
        try:
            if not ops.try_lock(fd):
                return False  # its writer lives
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        mine, seen = ops.fstat(fd), ops.lstat(name, dir_fd=tmp)
        if (mine.st_dev, mine.st_ino) != (seen.st_dev, seen.st_ino):
            return False  # another has begun anew
        if look:
            return True
        discard(ops, name, dir_fd=tmp)
        if name.endswith(PART):
            discard(ops, name + SUFFIX, dir_fd=tmp)
    return True


def _sweep_table(folders: Folders, tmp: int, name: str, *, look: bool) -> bool:
    """Remove the table of a part that is gone; others go with their part."""
    try:
        folders.ops.lstat(name.removesuffix(SUFFIX), dir_fd=tmp)
    except FileNotFoundError:
        if not look:
            discard(folders.ops, name, dir_fd=tmp)
        return True
    return False


def _sweep_folder(folders: Folders, tmp: int, name: str, *, look: bool) -> bool:
    """Go on with the removal of a snapshot's folder; others are not ours."""
    if not name.startswith(f"{GONE}."):
        return False
    if not look:
        remove_tree(folders.ops, name, tmp)
    return True
