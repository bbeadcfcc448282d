"""What lies in a store's folder, by a look at every name. Changes nothing but what `protect` is told to."""

import os
import stat as modes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.fsops import FOLDER, READ, FsOps, Watch, opened
from modelhub.store.intake import sha256_of

_WRITE_BITS = 0o222


@dataclass(frozen=True, slots=True)
class Stock:
    """The blobs, with what `lstat` says of each; names among them that are none; block tables; and
    the snapshots' folders. Paths are relative to the root.
    """

    blobs: Mapping[Digest, os.stat_result]
    strange: tuple[str, ...]
    tables: frozenset[Digest]
    folders: frozenset[str]


class StockTaker:
    """Looks at the store whose folder is `root`.

    Raises:
        OSError: from every method, as the system gives it.
    """

    def __init__(self, root: Path, ops: FsOps | None = None) -> None:
        self._root = root
        self._ops = ops or FsOps()

    def take(self) -> Stock:
        """All of it."""
        blobs, strange = self._sharded(layout.BLOBS)
        tables, odd = self._sharded(layout.TABLES)
        return Stock(blobs, (*strange, *odd), frozenset(tables), frozenset(self._folders()))

    def look(self, path: str) -> os.stat_result | None:
        """What stands at `path` below the root, not followed when it is a link."""
        try:
            return self._ops.lstat(str(self._root / path))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def sha256(self, path: str, watch: Watch) -> Digest:
        """The hash that the bytes of the file at `path` have now."""
        with opened(self._ops, str(self._root / path), READ) as fd:
            return sha256_of(self._ops, fd, watch)

    def protect(self, digest: Digest) -> None:
        """Make a blob read-only again."""
        with opened(self._ops, str(self._root / layout.blob_path(digest)), READ) as fd:
            self._ops.fchmod(fd, 0o444)
            self._ops.fsync(fd)

    def drop_table(self, digest: Digest) -> None:
        """Remove the block table of a blob that is gone."""
        self._ops.unlink(str(self._root / layout.TABLES / layout.blob_name(digest)))

    def _sharded(self, home: str) -> tuple[dict[Digest, os.stat_result], list[str]]:
        found: dict[Digest, os.stat_result] = {}
        strange: list[str] = []
        for shard, look in self._in(home):
            if not modes.S_ISDIR(look.st_mode):
                strange.append(f"{home}/{shard}")
                continue
            for name, inner in self._in(f"{home}/{shard}"):
                digest = layout.digest_of(name)
                if digest is None or digest[:2] != shard:
                    strange.append(f"{home}/{shard}/{name}")
                else:
                    found[digest] = inner
        return found, strange

    def _folders(self) -> Iterator[str]:
        """`snapshots/<vendor>/<name>/<commit>`, each that is there."""
        paths = [layout.SNAPSHOTS]
        for _ in range(3):
            paths = [
                f"{path}/{name}"
                for path in paths
                for name, look in self._in(path)
                if modes.S_ISDIR(look.st_mode) and name != layout.STAGING
            ]
        yield from paths

    def _in(self, path: str) -> list[tuple[str, os.stat_result]]:
        found = []
        with opened(self._ops, str(self._root / path), FOLDER) as fd:
            for name in sorted(self._ops.listdir(fd)):
                try:
                    found.append((name, self._ops.lstat(name, dir_fd=fd)))
                except FileNotFoundError:
                    continue  # it went meanwhile
        return found


def is_writable(look: os.stat_result) -> bool:
    """Whether anybody may write to the file, which is ours to forbid: an adopted one may be somebody else's."""
    return look.st_uid == os.geteuid() and bool(look.st_mode & _WRITE_BITS)


def is_file(look: os.stat_result) -> bool:
    """Whether it is a plain file."""
    return modes.S_ISREG(look.st_mode)
