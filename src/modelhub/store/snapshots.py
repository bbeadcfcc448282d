"""Snapshot folders: every file appears whole, or not at all."""

import hashlib
import stat as modes
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from os import stat_result

from modelhub.errors import StoreUnavailable
from modelhub.facts import Proof, SnapshotFile, StoreCapabilities
from modelhub.refs import Digest, RepoPath
from modelhub.store import layout, proof
from modelhub.store.blobs import Blobs
from modelhub.store.capabilities import links, probe, require_link_mode
from modelhub.store.folders import Folders, open_folder, unique
from modelhub.store.fsops import CANNOT, CREATE, READ, Watch, discard, opened, pwrite_all
from modelhub.store.intake import CHUNK, sha256_of
from modelhub.store.layout import LinkChoice, LinkMode
from modelhub.store.levels import Level


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One file of a snapshot: its blob, the ways to link it, what a symlink would say, and how much is read
    before it is believed.
    """

    path: RepoPath
    digest: Digest
    size: int
    ways: tuple[LinkMode, ...]
    target: str
    level: Level


class Snapshots:
    """Builds snapshot folders from vouched blobs. Threads and processes may build one at once."""

    def __init__(self, folders: Folders, blobs: Blobs) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._blobs = blobs
        # Large copies that this process has hashed, by device and inode.
        self._copies: dict[tuple[int, int], tuple[Proof, Digest]] = {}

    @cached_property
    def capabilities(self) -> StoreCapabilities:
        """What links the file system can make."""
        return probe(self._folders)

    def require(self, mode: LinkChoice) -> None:
        """Refuse a way to link that is none, or that the file system does not have.

        Raises:
            InvalidInput
        """
        layout.known_link_mode(mode)
        if mode != "auto":
            require_link_mode(self.capabilities, mode, str(self._folders.root))

    def build(
        self,
        folder: RepoPath,
        files: Mapping[RepoPath, Digest],
        sizes: Mapping[Digest, int],
        watch: Watch,
        level: Level = "proof",
        mode: LinkChoice = "auto",
    ) -> tuple[SnapshotFile, ...]:
        """Make or extend `snapshots/<folder>` so that it has `files`; others in it stay.

        Raises:
            StoreUnavailable: a folder's place is taken by a file or a symbolic link.
            IntegrityError: a blob had other bytes.
        """
        with_onnx = layout.onnx_folders(files)
        links: dict[RepoPath, LinkMode] = {}
        for inner, paths in _by_folder(files).items():
            with self._inside(f"{folder}/{inner}".rstrip("/")) as fd:
                wanted = (
                    _wanted(folder, path, files[path], sizes[files[path]], with_onnx, level, mode)
                    for path in paths
                )
                links |= self._fill(fd, wanted, watch)
        return tuple(
            SnapshotFile(path=path, size=sizes[digest], sha256=digest, link=links[path])
            for path, digest in files.items()
        )

    @contextmanager
    def _inside(self, path: str) -> Iterator[int]:
        """The folder `snapshots/<path>`, made where it is missing, without following a link."""
        with ExitStack() as stack:
            fd, way = self._folders.snapshots, layout.SNAPSHOTS
            for part in path.split("/"):
                way = f"{way}/{part}"
                with self._folders.errors("make", way):
                    fd = open_folder(self._ops, part, fd)
                stack.callback(self._ops.close, fd)
            yield fd

    def _fill(self, fd: int, files: Iterable[_Wanted], watch: Watch) -> dict[RepoPath, LinkMode]:
        links: dict[RepoPath, LinkMode] = {}
        changed = False
        for file in files:
            watch.check()
            with self._folders.errors("link", file.path, need=file.size):
                found = self._found(fd, file, watch)
                links[file.path] = found or self._make(fd, file, watch)
                changed |= found is None
        if changed:
            with self._folders.errors("write"):
                self._ops.fsync(fd)
        return links

    # What stands there already

    def _found(self, fd: int, file: _Wanted, watch: Watch) -> LinkMode | None:
        """How the file is there already; `None` when it is not, or is not right."""
        try:
            look = self._ops.lstat(file.path.name, dir_fd=fd)
        except FileNotFoundError:
            return None
        if modes.S_ISDIR(look.st_mode):
            raise StoreUnavailable(
                f"the snapshot file {file.path} in {self._folders.root} is a folder",
                hint="Remove that folder; modelhub did not make it.",
            )
        way = self._way(fd, file, look, watch)
        # A copy cannot be told from a file that shares the blob's blocks, and is as good.
        copied = way is LinkMode.COPY and LinkMode.REFLINK in file.ways
        return way if copied or way in file.ways else None

    def _way(self, fd: int, file: _Wanted, look: stat_result, watch: Watch) -> LinkMode | None:
        if modes.S_ISLNK(look.st_mode):
            right = self._ops.readlink(file.path.name, dir_fd=fd) == file.target
            return LinkMode.SYMLINK if right else None
        if not modes.S_ISREG(look.st_mode):
            return None
        blob = self._blobs.look(file.digest)
        if blob is not None and _key(blob) == _key(look):
            return LinkMode.HARDLINK
        same = look.st_size == file.size and self._same(fd, file, look, watch)
        return LinkMode.COPY if same else None

    def _same(self, fd: int, file: _Wanted, look: stat_result, watch: Watch) -> bool:
        """Whether a copy is still one. Small ones are always read, since people edit them."""
        if file.level == "off" and file.size >= layout.SMALL:
            return True
        known, digest = self._copies.get(_key(look), (None, None))
        if file.level != "full" and digest == file.digest and proof.holds(known, look, self._blobs.host):
            return True
        with opened(self._ops, file.path.name, READ, dir_fd=fd) as copy:
            before = self._ops.fstat(copy)
            if sha256_of(self._ops, copy, watch) != file.digest:
                return False
        self._remember(file, before)
        return True

    def _remember(self, file: _Wanted, look: stat_result, after: stat_result | None = None) -> None:
        if file.size >= layout.SMALL:
            self._copies[_key(look)] = (self._blobs.proof_of(look, after), file.digest)

    # Making it

    def _make(self, fd: int, file: _Wanted, watch: Watch) -> LinkMode:
        can = links(self.capabilities)
        for way in (way for way in file.ways[:-1] if way in can):
            try:
                self._make_as(way, fd, file, watch)
            except OSError as error:
                if error.errno not in CANNOT:
                    raise
            else:
                return way
        self._make_as(file.ways[-1], fd, file, watch)
        return file.ways[-1]

    def _make_as(self, way: LinkMode, fd: int, file: _Wanted, watch: Watch) -> None:
        match way:
            case LinkMode.HARDLINK:
                self._hardlink(fd, file, watch)
            case LinkMode.SYMLINK:
                self._appear(fd, file, lambda name, at: self._ops.symlink(file.target, name, dir_fd=at))
            case LinkMode.REFLINK:
                self._own_file(fd, file, self._ops.reflink)
            case LinkMode.COPY:
                self._own_file(fd, file, lambda blob, out: self._copy(blob, out, file, watch))

    def _hardlink(self, fd: int, file: _Wanted, watch: Watch) -> None:
        name, blobs = layout.blob_name(file.digest), self._folders.blobs
        with self._blobs.hold(file.digest, watch) as held:
            known = self._blobs.vouch_held(held, watch, believe=file.level == "off")
            self._appear(
                fd, file, lambda at, to: self._ops.link(name, at, source_fd=blobs, target_fd=to)
            )
            # The link moved the blob's change time: without this, its proof would not hold.
            self._blobs.renew(held, known)

    def _appear(self, fd: int, file: _Wanted, make: Callable[[str, int], None]) -> None:
        """Make a link under the file's name, in place of what is there."""
        try:
            make(file.path.name, fd)
        except FileExistsError:
            temp, staging = unique("link"), self._folders.staging
            make(temp, staging)
            try:
                self._ops.rename(temp, file.path.name, source_fd=staging, target_fd=fd)
            finally:
                # Renaming one of two names of one file to the other leaves both.
                discard(self._ops, temp, dir_fd=staging)

    def _own_file(self, fd: int, file: _Wanted, fill: Callable[[int, int], None]) -> None:
        """Make a file with an inode of its own, filled from the blob."""
        temp, staging = unique("copy"), self._folders.staging
        with (
            self._blobs.reading(file.digest) as blob,
            opened(self._ops, temp, CREATE, 0o644, dir_fd=staging) as out,
        ):
            try:
                fill(blob, out)
                sealed = self._blobs.seal(out)
                self._ops.fsync(out)
                self._ops.rename(temp, file.path.name, source_fd=staging, target_fd=fd)
                self._remember(file, sealed, self._ops.fstat(out))
            finally:
                discard(self._ops, temp, dir_fd=staging)

    def _copy(self, blob: int, out: int, file: _Wanted, watch: Watch) -> None:
        """Copy and hash what is copied, so that a small file is right without any proof."""
        buffer = memoryview(bytearray(min(max(file.size, 1), CHUNK)))
        sha, offset = hashlib.sha256(), 0
        while count := self._ops.pread(blob, buffer, offset):
            data = buffer[:count]
            sha.update(data)
            pwrite_all(self._ops, out, data, offset)
            offset += count
            watch.check()
        if sha.hexdigest() != file.digest:
            self._blobs.vouch(file.digest, watch, rehash=True)
            raise self._blobs.busy(file.digest)


def _by_folder(files: Iterable[RepoPath]) -> dict[str, list[RepoPath]]:
    """The paths by their folders; the root is there even without a file."""
    folders: dict[str, list[RepoPath]] = {"": []}
    for path in files:
        folders.setdefault(path.folder, []).append(path)
    return folders


def _wanted(
    folder: RepoPath,
    path: RepoPath,
    digest: Digest,
    size: int,
    with_onnx: frozenset[str],
    level: Level,
    mode: LinkChoice,
) -> _Wanted:
    ways = layout.link_modes(path, size, with_onnx, mode)
    return _Wanted(path, digest, size, ways, layout.symlink_target(folder, path, digest), level)


def _key(look: stat_result) -> tuple[int, int]:
    return look.st_dev, look.st_ino
