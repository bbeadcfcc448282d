"""Takes a file of somebody else's folder into the store, without being led to any other file."""

import errno
import hashlib
import os
import stat as modes
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Literal, NoReturn, get_args

from modelhub.errors import (
    AccessDenied,
    IntegrityError,
    InvalidInput,
    ModelHubError,
    StoreUnavailable,
    UnsafePath,
)
from modelhub.facts import BlobRecord
from modelhub.refs import Digest, RepoPath
from modelhub.store.blobs import Blobs
from modelhub.store.blocks import Blocks, BlockTable, Summing
from modelhub.store.folders import Folders, unique
from modelhub.store.fsops import CANNOT, FOLDER, READ, FsOps, Watch, discard, opened, wait_lock
from modelhub.store.intake import HASH_CHUNK, Expected, Received, compare, receive
from modelhub.store.parts.reservations import reserve
from modelhub.store.publishing import Arrival, Publisher, Temp

AdoptMode = Literal["auto", "copy", "reflink", "hardlink"]

_ROOT = os.O_RDONLY | os.O_DIRECTORY
# What a file system answers that cannot do it, or not between these two files.
_CANNOT = CANNOT | {errno.EACCES, errno.EBADF, errno.ETXTBSY}


def known_mode(mode: str) -> AdoptMode:
    """`mode`, if it is a way of adopting.

    Raises:
        InvalidInput
    """
    if mode not in (known := get_args(AdoptMode)):
        raise InvalidInput(
            f"mode: {mode!r:.40} is no way to adopt a file",
            hint=f"Say one of {', '.join(known)}.",
            field="mode",
        )
    return mode  # type: ignore[return-value]  # narrowed by `in` above


@dataclass(frozen=True, slots=True)
class _Found:
    """An open file outside of the store, and its name in the open folder that it was found in."""

    fd: int
    name: str
    folder: int
    look: stat_result
    expect: Expected


class Adopter:
    """Makes blobs of files that are here already, in one store."""

    def __init__(self, folders: Folders, blobs: Blobs, publisher: Publisher) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._blobs = blobs
        self._publisher = publisher

    def adopt(
        self,
        root: Path,
        path: RepoPath,
        expect: Expected,
        mode: AdoptMode,
        watch: Watch,
        *,
        trusted: bool,
    ) -> BlobRecord:
        """See `Store.adopt`."""
        started = time.monotonic()
        with self._find(root, path, expect, trusted=trusted) as found:
            watch.check()
            if mode == "hardlink":
                return self._linked(found, watch, started)
            return self._own(found, mode, watch, started)

    # Finding it

    @contextmanager
    def _find(self, root: Path, path: RepoPath, expect: Expected, *, trusted: bool) -> Iterator[_Found]:
        """The file, opened part by part: wherever a name leads, it is no link that leads there."""
        *above, name = path.split("/")
        with ExitStack() as stack:
            with _refusals(root, path):
                here = stack.enter_context(opened(self._ops, str(root), _ROOT))
                for part in above:
                    here = stack.enter_context(opened(self._ops, part, FOLDER, dir_fd=here))
                fd = stack.enter_context(opened(self._ops, name, READ, dir_fd=here))
                look = self._ops.fstat(fd)
            _check(look, root / path, trusted=trusted)
            if expect.size is not None and look.st_size != expect.size:
                expect.refuse("size", expect.size, look.st_size)
            yield _Found(fd, name, here, look, expect)

    # A file of our own

    def _own(self, found: _Found, mode: AdoptMode, watch: Watch, started: float) -> BlobRecord:
        with self._publisher.temp(watch) as temp:
            if mode != "copy" and self._reflinked(found, temp.fd, must=mode == "reflink"):
                received = self._hashed(temp.fd, found.expect, watch)
            else:
                reserve(self._folders, found.expect.name, found.look.st_size)
                stream = _Reading(self._ops, found.fd)
                received = receive(stream, temp.fd, found.expect, self._folders, watch)
            arrival = Arrival(temp, received, found.expect.name, started)
            return self._publisher.publish(arrival, watch)

    def _reflinked(self, found: _Found, fd: int, *, must: bool) -> bool:
        try:
            with self._folders.errors("write", found.expect.name):
                self._try_reflink(found.fd, fd)
        except _NotHereError as cause:
            if must:
                raise self._impossible("reflink", found) from cause
            return False
        return True

    def _try_reflink(self, source: int, target: int) -> None:
        try:
            self._ops.reflink(source, target)
        except OSError as error:
            if error.errno in _CANNOT:
                raise _NotHereError(str(error)) from error
            raise

    # The very file

    def _linked(self, found: _Found, watch: Watch, started: float) -> BlobRecord:
        """Give the file a name in `tmp`, see that it is that file, hash it, and publish it."""
        name = unique("put")
        try:
            with self._folders.errors("link", found.expect.name):
                self._link(found, name)
            temp = Temp(found.fd, name, ours=found.look.st_uid == os.geteuid())
            # Not while it is published: the blob of this name may be this file, and vouching locks it too.
            with self._locked(found, name, watch):
                before, seen = self._sealed(temp), self._blobs.clock()
                received = self._hashed(found.fd, found.expect, watch)
            arrival = Arrival(temp, received, found.expect.name, started, before, seen)
            return self._publisher.publish(arrival, watch)
        finally:
            with self._folders.errors("remove", name):
                discard(self._ops, name, dir_fd=self._folders.tmp)

    @contextmanager
    def _locked(self, found: _Found, name: str, watch: Watch) -> Iterator[None]:
        """Hold the lock that tells sweepers that we live, of a name of the very file that was found: it may be
        older than what dead writers left.
        """
        with ExitStack() as stack:
            with self._folders.errors("lock", found.expect.name):
                look = self._ops.lstat(name, dir_fd=self._folders.tmp)
                if (look.st_dev, look.st_ino) != (found.look.st_dev, found.look.st_ino):
                    _refuse_link(found.expect.name)
                fd = stack.enter_context(opened(self._ops, name, READ, dir_fd=self._folders.tmp))
                wait_lock(self._ops, fd, watch)
            yield

    def _link(self, found: _Found, name: str) -> None:
        ends = {"source_fd": found.folder, "target_fd": self._folders.tmp}
        try:
            self._ops.link(found.name, name, **ends)
        except FileNotFoundError:
            _refuse_link(found.expect.name)
        except OSError as error:
            if error.errno in _CANNOT:
                raise self._impossible("hardlink", found) from error
            raise

    def _sealed(self, temp: Temp) -> stat_result:
        with self._folders.errors("look at", temp.name):
            return self._blobs.seal(temp.fd) if temp.ours else self._ops.fstat(temp.fd)

    def _hashed(self, fd: int, expect: Expected, watch: Watch) -> Received:
        """What the file holds, if it is what was promised."""
        with self._folders.errors("read", expect.name):
            received = _read(self._ops, fd, watch)
        compare(received, fd, expect, self._folders)
        return received

    def _impossible(self, mode: str, found: _Found) -> StoreUnavailable:
        return StoreUnavailable(
            f"{found.expect.name}: no {mode} of it can be made in {self._folders.root}",
            hint="Both must be on one file system that has such links, and the file yours. mode='auto' copies.",
            path=found.expect.name,
        )


class _NotHereError(Exception):
    """The file system has no such links between these two files."""


class _Reading:
    """An open file as a stream."""

    def __init__(self, ops: FsOps, fd: int) -> None:
        self._ops = ops
        self._fd = fd
        self._offset = 0

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._ops.pread(self._fd, buffer, self._offset)
        self._offset += count
        return count


def _read(ops: FsOps, fd: int, watch: Watch) -> Received:
    buffer = memoryview(bytearray(HASH_CHUNK))
    sha, sums, stream, size = hashlib.sha256(), Summing(), _Reading(ops, fd), 0
    while count := stream.readinto(buffer):
        sha.update(buffer[:count])
        sums.update(buffer[:count])
        size += count
        watch.on_bytes(count)
        watch.check()
    digest = Digest(sha.hexdigest())
    return Received(digest, size, BlockTable(digest, Blocks(size), tuple(sums.checksums)))


def _check(look: stat_result, path: Path, *, trusted: bool) -> None:
    if not modes.S_ISREG(look.st_mode):
        raise UnsafePath(
            f"{str(path)!r:.300} is no regular file",
            hint="Only regular files can be adopted, no folders, links, pipes or devices.",
            field="path",
        )
    if look.st_nlink > 1 and not trusted:
        raise UnsafePath(
            f"{str(path)!r:.300} has {look.st_nlink} names",
            hint="It could be a file of yours from elsewhere. If nobody else writes there, say trusted=True.",
            field="path",
        )


def _refuse_link(name: str) -> NoReturn:
    raise IntegrityError(
        f"{name}: another file took its name meanwhile",
        hint="Nothing was kept. Something else writes into its folder; try again when it has ended.",
        path=name,
    )


@contextmanager
def _refusals(root: Path, path: str) -> Iterator[None]:
    """Say of a file outside of the store why it cannot be opened."""
    try:
        yield
    except OSError as error:
        raise _unopened(f"{str(root / path)!r:.300}", error) from error


def _unopened(shown: str, error: OSError) -> ModelHubError:
    # A link that stands for a folder gives ENOTDIR on Linux, one that stands for a file ELOOP; others EMLINK.
    if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR, errno.ENXIO):
        return UnsafePath(
            f"{shown} is, or is below, a link or no regular file",
            hint="Name the file itself and a folder above it that holds no links.",
            field="path",
        )
    if isinstance(error, PermissionError):
        return AccessDenied(f"{shown} cannot be read", hint="Check its owner and mode.", field="path")
    return InvalidInput(
        f"{shown} cannot be read: {error.strerror}", hint="Name a file that is there.", field="path"
    )


def split(path: str | os.PathLike[str], root: str | os.PathLike[str] | None) -> tuple[Path, RepoPath]:
    """The folder to start from, and the file's name below it.

    Raises:
        UnsafePath: for a name that is none, or leads out of `root`.
    """
    text = os.fspath(path)
    if root is not None:
        return Path(root).absolute(), RepoPath(text)
    above, name = os.path.split(text)
    return Path(above).absolute(), RepoPath(name)
