"""Takes blobs and snapshot folders out of a store for good."""

import stat as modes
from collections.abc import Callable

from modelhub.errors import ArtifactNotFound, StoreUnavailable
from modelhub.refs import Digest, RepoPath
from modelhub.store import layout
from modelhub.store.blobs import Blobs, Held
from modelhub.store.folders import Folders, folder_in, unique
from modelhub.store.fsops import FOLDER, FsOps, discard, opened
from modelhub.store.hardlinks import unlink_all

GONE = "gone"
"""How folders are called that are being removed; see `Store.sweep`."""


def remove_blob(
    folders: Folders,
    blobs: Blobs,
    digest: Digest,
    confirm: Callable[[], bool],
    *,
    links: bool = False,
) -> bool:
    """Delete a blob if `confirm` still says so while it is held; whether it is gone now.

    Who vouches for the blob or links it holds it too, so what `confirm` asks cannot change meanwhile. With
    `links`, its other names in snapshots go first.
    """
    try:
        with blobs.hold(digest) as held:
            if not confirm():
                return False
            if links:
                _unlink(folders, held)
            with (
                folders.errors("remove", digest),
                folder_in(folders.ops, digest[:2], folders.blobs) as shard,
            ):
                folders.ops.unlink(digest, dir_fd=shard)
                folders.ops.fsync(shard)
                blobs.tables.discard(digest)
    except ArtifactNotFound:
        return confirm()
    return True


def _unlink(folders: Folders, held: Held) -> None:
    with folders.errors("unlink", held.digest):
        look = folders.ops.fstat(held.fd)
        unlink_all(folders, (look.st_dev, look.st_ino), look.st_nlink - 1)


def remove_folder(folders: Folders, path: RepoPath) -> bool:
    """Remove `snapshots/<vendor>/<name>/<commit>` and the folders above it that are empty then.

    It is gone from its place at once; its files follow. Whether it was there.
    """
    ops, parts = folders.ops, path.split("/")
    if parts[0] != layout.SNAPSHOTS or len(parts) != 4:
        raise StoreUnavailable(f"{path} is no snapshot's folder", hint="Leave it as it is.")
    owner, repository, commit = parts[1:]
    with folders.errors("remove", path):
        try:
            with opened(ops, owner, FOLDER, dir_fd=folders.snapshots) as vendor:
                with opened(ops, repository, FOLDER, dir_fd=vendor) as home:
                    aside = unique(GONE)
                    ops.rename(commit, aside, source_fd=home, target_fd=folders.staging)
                    ops.fsync(home)
                _remove_empty(ops, repository, vendor)
            _remove_empty(ops, owner, folders.snapshots)
        except FileNotFoundError:
            return False
        remove_tree(ops, aside, folders.staging)
    return True


def discard_old(folders: Folders, path: RepoPath, before_ns: int) -> bool:
    """Delete a file in `quarantine` or a block table that has not changed since; whether it was one."""
    ops, name = folders.ops, path.partition("/")[2]
    if path.startswith(f"{layout.QUARANTINE}/") and "/" not in name:
        parent = folders.quarantine
    elif path.startswith(f"{layout.TABLES}/") and path.count("/") == 3:
        parent, name = folders.tables, path.removeprefix(f"{layout.TABLES}/")
    else:
        raise StoreUnavailable(f"{path} is nothing that may go", hint="Leave it as it is.")
    with folders.errors("remove", path):
        try:
            look = ops.lstat(name, dir_fd=parent)
            if not modes.S_ISREG(look.st_mode) or max(look.st_mtime_ns, look.st_ctime_ns) > before_ns:
                return False
            ops.unlink(name, dir_fd=parent)
        except FileNotFoundError:
            return False
    return True


def erase(folders: Folders) -> None:
    """Remove the folders of the layout, and the root when nothing else is in it."""
    ops, root = folders.ops, folders.root
    with folders.errors("remove", str(root)), opened(ops, str(root), FOLDER) as top:
        for name in sorted(layout.TOPS & set(ops.listdir(top))):
            remove_tree(ops, name, top)
        ops.fsync(top)
        empty = not ops.listdir(top)
    if empty:
        with folders.errors("remove", str(root)), opened(ops, str(root.parent), FOLDER) as above:
            _remove_empty(ops, root.name, above)


def remove_tree(ops: FsOps, name: str, parent: int) -> None:
    """Remove a folder with all that is in it; no symbolic link is followed."""
    with opened(ops, name, FOLDER, dir_fd=parent) as fd:
        for inner in ops.listdir(fd):
            if modes.S_ISDIR(ops.lstat(inner, dir_fd=fd).st_mode):
                remove_tree(ops, inner, fd)
            else:
                discard(ops, inner, dir_fd=fd)
    ops.rmdir(name, dir_fd=parent)


def _remove_empty(ops: FsOps, name: str, parent: int) -> None:
    with opened(ops, name, FOLDER, dir_fd=parent) as fd:
        empty = not ops.listdir(fd)
    if empty:
        try:
            ops.rmdir(name, dir_fd=parent)
        except OSError:
            return  # somebody has put something into it
