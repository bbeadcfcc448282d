"""The other names of a blob's file: its hard links in snapshots."""

import stat as modes

from modelhub.store import layout
from modelhub.store.folders import Folders
from modelhub.store.fsops import FOLDER, opened

File = tuple[int, int]
"""A file whatever its name: device and inode."""


def unlink_all(folders: Folders, file: File, links: int) -> list[str]:
    """Remove the names of `file` in all snapshots, at most `links`: their paths below the root.

    Looks at one name after the other, since nothing else knows them; no symbolic link is followed.
    """
    gone: list[str] = []
    if links:
        _unlink_in(folders, folders.snapshots, layout.SNAPSHOTS, file, links, gone)
    return gone


def _unlink_in(folders: Folders, fd: int, path: str, file: File, links: int, gone: list[str]) -> None:
    ops, before, inner = folders.ops, len(gone), []
    for name in ops.listdir(fd):
        try:
            look = ops.lstat(name, dir_fd=fd)
            if (look.st_dev, look.st_ino) == file:
                ops.unlink(name, dir_fd=fd)
                gone.append(f"{path}/{name}")
        except FileNotFoundError:
            continue  # removed meanwhile
        if modes.S_ISDIR(look.st_mode):
            inner.append(name)
    if len(gone) > before:
        ops.fsync(fd)
    for name in inner:
        if len(gone) == links:
            return
        with opened(ops, name, FOLDER, dir_fd=fd) as below:
            _unlink_in(folders, below, f"{path}/{name}", file, links, gone)
