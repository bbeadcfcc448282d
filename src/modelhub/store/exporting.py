"""Puts vouched blobs under names in a folder of somebody else, who may do with these what they like."""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from modelhub.errors import ModelHubError, StoreFull, StoreUnavailable
from modelhub.facts import SnapshotFile
from modelhub.refs import Digest, RepoPath
from modelhub.store import layout
from modelhub.store.blobs import Blobs, Held
from modelhub.store.folders import Folders, open_folder, unique
from modelhub.store.fsops import CANNOT, CREATE, Watch, discard, make_folders, opened, pwrite_all
from modelhub.store.intake import CHUNK
from modelhub.store.layout import LinkMode

_ROOT = os.O_RDONLY | os.O_DIRECTORY


class Exporter:
    """Links the blobs of one store into folders outside of it."""

    def __init__(self, folders: Folders, blobs: Blobs) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._blobs = blobs

    def export(
        self, root: Path, files: Mapping[RepoPath, Digest], watch: Watch
    ) -> tuple[SnapshotFile, ...]:
        """See `Store.export`."""
        with_onnx = layout.onnx_folders(files)
        with ExitStack() as stack:
            with _errors(root):
                make_folders(self._ops, root)
                top = stack.enter_context(opened(self._ops, str(root), _ROOT))
            return tuple(
                self._file(root, top, path, digest, with_onnx, watch) for path, digest in files.items()
            )

    def _file(
        self,
        root: Path,
        top: int,
        path: RepoPath,
        digest: Digest,
        with_onnx: frozenset[str],
        watch: Watch,
    ) -> SnapshotFile:
        watch.check()
        with (
            self._blobs.hold(digest, watch) as held,
            _errors(root / path),
            self._inside(top, path.folder) as fd,
        ):
            known = self._blobs.vouch_held(held, watch)
            ways = list(_ways(path, known.size, with_onnx))
            way = self._appear(held, fd, path.name, ways, watch)
            if way is LinkMode.HARDLINK:
                # The link moved the blob's change time: without this, its proof would not hold.
                self._blobs.renew(held, known)
        return SnapshotFile(path=path, size=known.size, sha256=digest, link=way)

    @contextmanager
    def _inside(self, top: int, folder: str) -> Iterator[int]:
        """The folder below `top`, made where it is missing, without following a link."""
        with ExitStack() as stack:
            fd = top
            for part in filter(None, folder.split("/")):
                fd = open_folder(self._ops, part, fd)
                stack.callback(self._ops.close, fd)
            yield fd

    def _appear(self, held: Held, fd: int, name: str, ways: list[LinkMode], watch: Watch) -> LinkMode:
        """Make the file whole under another name, and give it its own in place of what is there."""
        temp = f".{unique('export')}"
        try:
            way = self._make(held, fd, temp, ways, watch)
            self._ops.rename(temp, name, source_fd=fd, target_fd=fd)
            self._ops.fsync(fd)
        finally:
            # Renaming one of two names of one file to the other leaves both.
            discard(self._ops, temp, dir_fd=fd)
        return way

    def _make(self, held: Held, fd: int, temp: str, ways: list[LinkMode], watch: Watch) -> LinkMode:
        for way in ways[:-1]:
            try:
                self._make_as(way, held, fd, temp, watch)
            except OSError as error:
                if error.errno not in CANNOT:
                    raise
                discard(self._ops, temp, dir_fd=fd)
            else:
                return way
        self._make_as(ways[-1], held, fd, temp, watch)
        return ways[-1]

    def _make_as(self, way: LinkMode, held: Held, fd: int, temp: str, watch: Watch) -> None:
        if way is LinkMode.HARDLINK:
            name, blobs = layout.blob_name(held.digest), self._folders.blobs
            self._ops.link(name, temp, source_fd=blobs, target_fd=fd)
            return
        with opened(self._ops, temp, CREATE, 0o644, dir_fd=fd) as out:
            if way is LinkMode.REFLINK:
                self._ops.reflink(held.fd, out)
            else:
                self._copy(held.fd, out, watch)
            self._ops.fsync(out)

    def _copy(self, blob: int, out: int, watch: Watch) -> None:
        buffer, offset = memoryview(bytearray(CHUNK)), 0
        while count := self._ops.pread(blob, buffer, offset):
            pwrite_all(self._ops, out, buffer[:count], offset)
            offset += count
            watch.check()


def _ways(path: RepoPath, size: int, with_onnx: frozenset[str]) -> Iterator[LinkMode]:
    """As in a snapshot, but no link that breaks when the store moves."""
    modes = layout.link_modes(path, size, with_onnx)
    return (way for way in modes if way is not LinkMode.SYMLINK)


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Say of a folder outside of the store why it cannot be written."""
    try:
        yield
    except ModelHubError:  # some of ours are OSErrors too
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise (StoreFull if full else StoreUnavailable)(
            f"{path} cannot be written: {error.strerror}",
            hint="Name a folder of yours on a disk with room, in which no folder is a link.",
            path=str(path),
        ) from error
