"""Removes from `tmp` what dead writers left there."""

import stat as modes

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
    with folders.errors("sweep", layout.TMP):
        return sum(
            _sweep_one(folders, tmp, name, parts_before if resumable(folders, name) else before)
            for tmp in {folders.tmp, folders.staging}
            for name in folders.ops.listdir(tmp)
        )


def remove_parts(folders: Folders, digest: Digest) -> int:
    """Remove what dead writers left of one blob: how many. Where nobody can tell who lives, none."""
    if not folders.locks:
        return 0
    with folders.errors("sweep", layout.TMP):
        names = [one for one in folders.ops.listdir(folders.tmp) if one.startswith(f"{digest}.")]
        return sum(_sweep_one(folders, folders.tmp, one, _EVER) for one in names if one.endswith(PART))


def _sweep_one(folders: Folders, tmp: int, name: str, before: int) -> bool:
    ops = folders.ops
    try:
        look = ops.lstat(name, dir_fd=tmp)
        if look.st_mtime_ns > before:
            return False
        if modes.S_ISDIR(look.st_mode):
            return _sweep_folder(folders, tmp, name)
        if name.endswith(PART + SUFFIX):
            return _sweep_table(folders, tmp, name)
        if modes.S_ISREG(look.st_mode):
            return _sweep_file(folders, tmp, name)
        discard(ops, name, dir_fd=tmp)
    except FileNotFoundError:
        return False  # its writer ended
    return True


def _sweep_file(folders: Folders, tmp: int, name: str) -> bool:
    """Remove a file while its lock is ours, so that nobody takes it over meanwhile."""
    ops = folders.ops
    with opened(ops, name, READ, dir_fd=tmp) as fd:
        try:
            if not ops.try_lock(fd):
                return False  # its writer lives
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        mine, look = ops.fstat(fd), ops.lstat(name, dir_fd=tmp)
        if (mine.st_dev, mine.st_ino) != (look.st_dev, look.st_ino):
            return False  # another has begun anew
        discard(ops, name, dir_fd=tmp)
        if name.endswith(PART):
            discard(ops, name + SUFFIX, dir_fd=tmp)
    return True


def _sweep_table(folders: Folders, tmp: int, name: str) -> bool:
    """Remove the table of a part that is gone; others go with their part."""
    try:
        folders.ops.lstat(name.removesuffix(SUFFIX), dir_fd=tmp)
    except FileNotFoundError:
        discard(folders.ops, name, dir_fd=tmp)
        return True
    return False


def _sweep_folder(folders: Folders, tmp: int, name: str) -> bool:
    """Go on with the removal of a snapshot's folder; others are not ours."""
    if not name.startswith(f"{GONE}."):
        return False
    remove_tree(folders.ops, name, tmp)
    return True
