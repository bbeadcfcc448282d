"""What lies in a store's folders, looked at file by file. Believes no ledger."""

import stat as modes
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from os import stat_result

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.folders import Folders
from modelhub.store.fsops import FOLDER, on_disk, opened

__all__ = ["Inventory", "Lying", "lying_blobs", "take_inventory"]


@dataclass(frozen=True, slots=True)
class Lying:
    """A file or a folder. `path` is relative to the root; `size` is in bytes, of a folder that of the files
    which have no other name; `disk` is what it takes there. `age` is how many seconds ago it changed.
    """

    path: str
    size: int
    disk: int
    age: float


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is. `folders` are the snapshots; `parts` lie in `tmp`; `disk` is what all of it takes on the
    disk, in bytes, each file once whatever names it has.
    """

    blobs: Mapping[Digest, Lying] = field(default_factory=dict)
    tables: Mapping[Digest, Lying] = field(default_factory=dict)
    parts: tuple[Lying, ...] = ()
    quarantine: tuple[Lying, ...] = ()
    folders: tuple[Lying, ...] = ()
    disk: int = 0


def take_inventory(folders: Folders, now_ns: int) -> Inventory:
    """Look at everything below the root; `now_ns` is the moment that ages are counted from.

    What vanishes meanwhile is left out. No symbolic link is followed.
    """
    walk = _Walk(folders, now_ns)
    staged = (
        ()
        if folders.staging == folders.tmp
        else walk.files(folders.staging, f"{layout.SNAPSHOTS}/{layout.STAGING}")
    )
    return Inventory(
        blobs=walk.by_digest(layout.BLOBS),
        tables=walk.by_digest(layout.TABLES),
        parts=(*walk.inside(layout.TMP), *staged),
        quarantine=tuple(walk.inside(layout.QUARANTINE)),
        folders=tuple(walk.snapshots()),
        disk=walk.disk(),
    )


def lying_blobs(folders: Folders, now_ns: int) -> dict[Digest, Lying]:
    """The blobs alone."""
    return _Walk(folders, now_ns).by_digest(layout.BLOBS)


class _Walk:
    def __init__(self, folders: Folders, now_ns: int) -> None:
        self._ops = folders.ops
        self._root = str(folders.root)
        self._now = now_ns

    def by_digest(self, top: str) -> dict[Digest, Lying]:
        """The files `<top>/ab/<digest>`; what is called otherwise is none of ours."""
        found: dict[Digest, Lying] = {}
        for path, look in self._walk(top):
            name = path.rpartition("/")[2]
            digest = layout.digest_of(name)
            if digest and path == f"{top}/{layout.blob_name(digest)}" and modes.S_ISREG(look.st_mode):
                found[digest] = self._lying(path, look)
        return found

    def inside(self, top: str) -> Iterator[Lying]:
        """Files and folders of `top`, these with what is in them."""
        with self._folder(top) as fd:
            yield from self.files(fd, top)

    def files(self, fd: int, top: str) -> tuple[Lying, ...]:
        """Files and folders of an open folder."""
        found = []
        for name in sorted(self._ops.listdir(fd)):
            look = self._look(name, fd)
            if look is not None and modes.S_ISDIR(look.st_mode):
                found.append(self._tree(f"{top}/{name}", look))
            elif look is not None:
                found.append(self._lying(f"{top}/{name}", look))
        return tuple(found)

    def snapshots(self) -> Iterator[Lying]:
        """The folders `snapshots/<vendor>/<name>/<commit>`."""
        for path, look in self._walk(layout.SNAPSHOTS, depth=3):
            if (
                path.count("/") == 3
                and modes.S_ISDIR(look.st_mode)
                and path.split("/")[1] != layout.STAGING
            ):
                yield self._tree(path, look)

    def disk(self) -> int:
        """What everything takes, with the root itself: as `du -s` counts."""
        with opened(self._ops, self._root, FOLDER) as fd:
            total = on_disk(self._ops.fstat(fd))
        seen: set[tuple[int, int]] = set()
        for _, look in self._walk(""):
            if (look.st_dev, look.st_ino) not in seen:
                seen.add((look.st_dev, look.st_ino))
                total += on_disk(look)
        return total

    def _tree(self, path: str, look: stat_result) -> Lying:
        size = disk = 0
        newest = max(look.st_mtime_ns, look.st_ctime_ns)
        for _, inner in self._walk(path):
            if modes.S_ISREG(inner.st_mode) and inner.st_nlink == 1:
                size, disk = size + inner.st_size, disk + on_disk(inner)
            if modes.S_ISDIR(inner.st_mode):
                newest = max(newest, inner.st_mtime_ns, inner.st_ctime_ns)
        return Lying(path, size, disk, self._age(newest))

    def _lying(self, path: str, look: stat_result) -> Lying:
        newest = max(look.st_mtime_ns, look.st_ctime_ns)
        return Lying(path, look.st_size, on_disk(look), self._age(newest))

    def _age(self, changed_ns: int) -> float:
        return max(0.0, (self._now - changed_ns) / 1e9)

    def _walk(self, top: str, depth: int = 64) -> Iterator[tuple[str, stat_result]]:
        """Everything below a folder, by its path below the root; folders before what is in them."""
        try:
            with self._folder(top) as fd:
                names = sorted(self._ops.listdir(fd))
                looks = [(name, self._look(name, fd)) for name in names]
        except (FileNotFoundError, NotADirectoryError):
            return  # removed meanwhile
        for name, look in looks:
            if look is not None:
                path = f"{top}/{name}".lstrip("/")
                yield path, look
                if depth > 1 and modes.S_ISDIR(look.st_mode):
                    yield from self._walk(path, depth - 1)

    def _look(self, name: str, fd: int) -> stat_result | None:
        try:
            return self._ops.lstat(name, dir_fd=fd)
        except FileNotFoundError:
            return None

    def _folder(self, path: str) -> AbstractContextManager[int]:
        return opened(self._ops, f"{self._root}/{path}".rstrip("/"), FOLDER)
