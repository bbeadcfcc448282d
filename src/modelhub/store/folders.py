"""The folders of one store, held open.

Everything below is opened relative to them, so nothing that is planted later, and no renaming of
the root, leads anywhere else.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from modelhub.errors import ModelHubError, StoreError, StoreFull, StoreUnavailable
from modelhub.facts.base import human_bytes
from modelhub.store import layout
from modelhub.store.fsops import (
    CANNOT,
    CREATE,
    FOLDER,
    NO_LOCKS,
    READ,
    FsOps,
    discard,
    make_folders,
    opened,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PRIVATE = 0o700


def root_of(place: str | os.PathLike[str]) -> Path:
    """The folder that `place` names: a path, or `file:///folder`.

    Raises:
        StoreUnavailable: for another scheme, another host or nothing.
    """
    text = os.fspath(place)
    scheme, colon, _ = text.partition("://")
    if not text:
        raise _unusable(text, "an empty name is no folder", "Name a folder, or file:///folder.")
    if not colon or not isinstance(place, str):
        return Path(text).expanduser().absolute()
    address = urlsplit(text)
    if scheme.lower() != "file":
        raise _unusable(text, f"it is on {scheme}://", "These stores work: file:///folder.")
    if address.netloc not in ("", "localhost") or address.query or address.fragment:
        raise _unusable(text, "it names another host", "Write it with three slashes: file:///folder.")
    if len(address.path) < 2:
        raise _unusable(text, "it names no folder", "Write it as file:///folder.")
    return Path(unquote(address.path))


class Folders:
    """Open descriptors of a store's folders, made where they are missing.

    `blobs tables tmp quarantine snapshots` are folders of the layout; `staging` is where a snapshot's
    files are made ready: `tmp`, or a folder beside the snapshots when those are mounted apart. `locks` is
    whether locks in `tmp` keep other processes of this host out, and `verity` whether the kernel can seal files.

    Raises:
        StoreUnavailable: when one cannot be made, opened or written.
    """

    def __init__(self, root: Path, ops: FsOps) -> None:
        self.ops = ops
        self.root = root
        self._fds: list[int] = []
        self.locks = self.verity = False
        self.blobs = self.tables = self.tmp = self.quarantine = self.snapshots = self.staging = -1
        try:
            with self.errors("use"):
                self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        make_folders(self.ops, self.root)
        self.root = Path(os.path.realpath(self.root))
        top = self._keep(self.ops.open(str(self.root), FOLDER))
        self.blobs = self._folder(layout.BLOBS.split("/")[1], self._folder("blobs", top))
        self.tables = self._folder(layout.TABLES.split("/")[1], self._folder("blocks", top))
        self.tmp = self._folder(layout.TMP, top, _PRIVATE)
        self.quarantine = self._folder(layout.QUARANTINE, top, _PRIVATE)
        self.snapshots = self._folder(layout.SNAPSHOTS, top)
        self.ops.fsync(top)
        self._probe()
        self.staging = self.tmp
        if self._device(self.snapshots) != self._device(self.tmp):
            self.staging = self._folder(layout.STAGING, self.snapshots, _PRIVATE)

    def _folder(self, name: str, parent: int, mode: int = 0o777) -> int:
        return self._keep(open_folder(self.ops, name, parent, mode))

    def _keep(self, fd: int) -> int:
        self._fds.append(fd)
        return fd

    def _device(self, fd: int) -> int:
        return self.ops.fstat(fd).st_dev

    def _probe(self) -> None:
        """Find out now, not at the end of the first download, that nothing can be stored."""
        for name in (layout.BLOBS, layout.SNAPSHOTS):
            if not self.ops.writable(name, dir_fd=self._fds[0]):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), name)
        if self._device(self.blobs) != self._device(self.tmp):
            raise OSError(errno.EXDEV, "tmp and blobs are on different disks", layout.TMP)
        name = unique("probe")
        try:
            with opened(self.ops, name, CREATE, dir_fd=self.tmp) as fd:
                self.locks = self._locks(name, fd)
            self.verity = self._verity(name)
        finally:
            discard(self.ops, name, dir_fd=self.tmp)

    def _locks(self, name: str, fd: int) -> bool:
        """Whether a lock keeps others out; some file systems have none, or only say so."""
        try:
            with opened(self.ops, name, READ, dir_fd=self.tmp) as other:
                return self.ops.try_lock(fd) and not self.ops.try_lock(other)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return False

    def _verity(self, name: str) -> bool:
        """Whether a file that nobody writes any more can be sealed."""
        try:
            with opened(self.ops, name, READ, dir_fd=self.tmp) as fd:
                self.ops.enable_verity(fd)
        except OSError as error:
            if error.errno not in CANNOT:
                raise
            return False
        return True

    def close(self) -> None:
        """Give the descriptors back; twice does no harm."""
        while self._fds:
            self.ops.close(self._fds.pop())
        # A closed number may be another file's soon.
        self.blobs = self.tables = self.tmp = self.quarantine = self.snapshots = self.staging = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def errors(self, doing: str, what: str = "", *, need: int | None = None) -> Iterator[None]:
        """Turn the system's errors into the store's.

        Raises:
            StoreFull: the disk or the quota is full.
            StoreUnavailable: any other `OSError`.
        """
        try:
            yield
        except ModelHubError:  # some of ours are OSErrors too
            raise
        except OSError as error:
            raise self._translated(error, doing, what, need) from error

    def _translated(self, error: OSError, doing: str, what: str, need: int | None) -> StoreError:
        if error.errno in _FULL:
            return self.full(what, need)
        if error.errno == errno.EBADF and not self._fds:
            return _unusable(str(self.root), "it was closed", "Open the store again.")
        if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.ELOOP):
            reason = f"{what or error.filename} is a file or a symbolic link, not a folder"
            return _unusable(str(self.root), reason, "Remove what stands there, or name another folder.")
        reason = f"cannot {doing} {what or error.filename or 'it'}: {error.strerror}"
        return _unusable(str(self.root), reason, "Name a folder on a disk that you may write.")

    def free(self) -> int | None:
        """Free bytes on the store's disk; `None` where it does not say."""
        try:
            return self.ops.free(self.tmp)
        except OSError:
            return None

    def full(self, what: str, need: int | None, reserved: int = 0) -> StoreFull:
        """The error for `what`, which needs `need` bytes, with the arithmetic.

        `reserved` is what files take that are being received.
        """
        free = self.free() or 0
        sums = f"{human_bytes(free)} are free"
        if reserved:
            sums += f", {human_bytes(reserved)} of it for what is being received"
        if need is not None:
            sums = f"{what or 'it'} needs {human_bytes(need)}, {sums}"
            if need + reserved > free:
                sums += f", {human_bytes(need + reserved - free)} are missing"
        return StoreFull(
            f"the store {self.root} is full: {sums}",
            hint="Free some space, or name a store on a larger disk.",
            path=what,
            need=need,
            free=free,
            reserved=reserved,
        )


def unique(label: str) -> str:
    """A file name that nobody else uses."""
    return f"{label}.{uuid4().hex}"


def open_folder(ops: FsOps, name: str, parent: int, mode: int = 0o777) -> int:
    """The folder `name` in the folder `parent`, made (and made durable) when it is missing.

    A symbolic link in its place is not followed: `OSError` with `ELOOP` or `ENOTDIR`.
    """
    try:
        return ops.open(name, FOLDER, dir_fd=parent)
    except FileNotFoundError:
        try:
            ops.mkdir(name, mode, dir_fd=parent)
        except FileExistsError:
            pass  # somebody made it meanwhile
        else:
            ops.fsync(parent)
        return ops.open(name, FOLDER, dir_fd=parent)


@contextmanager
def folder_in(ops: FsOps, name: str, parent: int) -> Iterator[int]:
    """`open_folder`, closed at the end."""
    fd = open_folder(ops, name, parent)
    try:
        yield fd
    finally:
        ops.close(fd)


def _unusable(place: str, reason: str, hint: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store {place!r} cannot be used: {reason}", hint=hint, store=place, reason=reason
    )
