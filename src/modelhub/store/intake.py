"""Bytes that arrive: hashed while they are written, then compared with what was promised."""

import hashlib
import re
from dataclasses import dataclass
from typing import NoReturn, Protocol

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from modelhub.store.blocks import Blocks, BlockTable, Summing
from modelhub.store.folders import Folders
from modelhub.store.fsops import ALONE, FsOps, Watch, pwrite_all

CHUNK = 1 << 20
HASH_CHUNK = 8 << 20

_SHA1 = re.compile(r"[0-9a-f]{40}\Z")


class ByteStream(Protocol):
    """Bytes that arrive. `readinto` fills a buffer from the left and gives the count, 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


class Hasher(Protocol):
    """What the objects of `hashlib` can do."""

    def update(self, data: memoryview, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """What was promised of some bytes; `None` where nothing was.

    `size` is in bytes. `git_oid` is git's blob id of *these* bytes (40 hexadecimal digits; it is
    compared only where no `sha256` is known). `name` is what errors and logs call them.
    """

    sha256: Digest | None = None
    size: int | None = None
    git_oid: str | None = None
    name: str = "the file"

    def refuse(self, what: str, expected: object, actual: object) -> NoReturn:
        """Raise `IntegrityError` for these bytes."""
        raise IntegrityError(
            f"{self.name}: its {what} should be {expected}, but {actual} arrived",
            hint="Nothing was kept. Try again; if it stays so, the source serves other bytes than it declares.",
            path=self.name,
            expected=expected,
            actual=actual,
        )


@dataclass(frozen=True, slots=True)
class Received:
    """What arrived."""

    digest: Digest
    size: int
    table: BlockTable


def receive(
    stream: ByteStream, fd: int, expect: Expected, folders: Folders, watch: Watch = ALONE
) -> Received:
    """Write the whole `stream` to the empty file `fd` and compare it with `expect`.

    Raises:
        IntegrityError: as soon as it is too long; else at its end.
        StoreFull, StoreUnavailable: when it cannot be written.
    """
    buffer = memoryview(bytearray(CHUNK))
    sha, sums, size = hashlib.sha256(), Summing(), 0
    watch.check()
    while count := stream.readinto(buffer):
        data = buffer[:count]
        if expect.size is not None and size + count > expect.size:
            expect.refuse("size", expect.size, f"more than {expect.size} bytes")
        with folders.errors("write", expect.name, need=expect.size):
            pwrite_all(folders.ops, fd, data, size)
        sha.update(data)
        sums.update(data)
        size += count
        watch.on_bytes(count)
        watch.check()
    digest = Digest(sha.hexdigest())
    received = Received(digest, size, BlockTable(digest, Blocks(size), tuple(sums.checksums)))
    compare(received, fd, expect, folders)
    return received


def compare(received: Received, fd: int, expect: Expected, folders: Folders) -> None:
    """Raise `IntegrityError` when what the file `fd` holds is not what was promised."""
    if expect.size is not None and received.size != expect.size:
        expect.refuse("size", expect.size, received.size)
    if expect.sha256 is not None:
        if received.digest != expect.sha256:
            expect.refuse("sha256", expect.sha256, received.digest)
    elif expect.git_oid is not None and _SHA1.match(expect.git_oid):
        # Git hashes the length first, which is certain only now; such files are small.
        with folders.errors("read", expect.name):
            git = hashlib.sha1(b"blob %d\0" % received.size, usedforsecurity=False)
            actual = hash_file(folders.ops, fd, git)
        if actual != expect.git_oid:
            expect.refuse("git blob id", expect.git_oid, actual)


def hash_file(ops: FsOps, fd: int, hasher: Hasher, watch: Watch = ALONE) -> str:
    """Feed the whole file `fd` to `hasher`: its hexadecimal digits."""
    size = ops.fstat(fd).st_size
    buffer = memoryview(bytearray(min(max(size, 1), HASH_CHUNK)))
    offset = 0
    while count := ops.pread(fd, buffer, offset):
        hasher.update(buffer[:count])
        offset += count
        watch.on_bytes(count)
        watch.check()
    return hasher.hexdigest()


def sha256_of(ops: FsOps, fd: int, watch: Watch = ALONE) -> Digest:
    """The digest of the whole file `fd`."""
    return Digest(hash_file(ops, fd, hashlib.sha256(), watch))
