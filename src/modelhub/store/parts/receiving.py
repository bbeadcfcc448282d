"""Opens the part of a digest: alone, with what a dead writer left of it, if there is room for the rest."""

import errno
import os
import stat as modes
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from modelhub.errors import ArtifactNotFound, IntegrityError, InvalidInput
from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store.blobs import Blobs
from modelhub.store.blocks import BLOCK, Blocks, BlockTable, matching
from modelhub.store.folders import Folders, unique
from modelhub.store.fsops import READ, Watch, discard, on_disk, opened, wait_lock
from modelhub.store.intake import Expected
from modelhub.store.parts.part import Here, LocalPart
from modelhub.store.parts.progress import Progress
from modelhub.store.parts.reservations import PART, part_name, reserve
from modelhub.store.parts.salvaging import salvage
from modelhub.store.parts.sidecar import SUFFIX, Sidecar
from modelhub.store.ports import Part
from modelhub.store.publishing import Publisher, Temp

_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK


@dataclass(frozen=True, slots=True)
class Grain:
    """In how large pieces parts are kept, in bytes: a block, and what is made durable in one go."""

    block: int = BLOCK
    checkpoint: int = 256 << 20


class Parts:
    """The parts of one store."""

    def __init__(self, folders: Folders, blobs: Blobs, publisher: Publisher) -> None:
        self._folders = folders
        self._publisher = publisher
        self._ops = folders.ops
        self._blobs = blobs
        self.grain = Grain()

    @contextmanager
    def receive(self, expect: Expected, watch: Watch) -> Iterator[Part]:
        """See `Store.receive`."""
        digest, size = _promised(expect)
        while (record := self._here(digest, watch)) is None:
            with self._held(digest, watch) as temp:
                if temp is None:
                    continue
                if self._blobs.look(digest) is not None:  # from who held it before us
                    self._remove(temp.name)
                    continue
                with self._part(temp, expect, size, watch) as part:
                    yield part
                return
        yield Here(size, record)

    def _here(self, digest: Digest, watch: Watch) -> BlobRecord | None:
        """The record of the blob, when it is here and right."""
        if self._blobs.look(digest) is None:
            return None
        try:
            return self._blobs.vouch(digest, watch)
        except (ArtifactNotFound, IntegrityError):
            return None  # it went, or was wrong and is in quarantine

    # Holding a part

    @contextmanager
    def _held(self, digest: Digest, watch: Watch) -> Iterator[Temp | None]:
        """The part's file, ours alone until the end; `None` when it was another's, and went with it."""
        name = part_name(digest, self._blobs.host)
        with self._folders.errors("open", name):
            fd = self._open(name, watch)
        try:
            with self._folders.errors("lock", name):
                if not self._folders.locks or not wait_lock(self._ops, fd, watch):
                    name = self._claim(name)
                mine = self._same(fd, name)
            yield Temp(fd, name) if mine else None
        finally:
            self._ops.close(fd)

    def _open(self, name: str, watch: Watch) -> int:
        """Open or make it. What others planted there, or what cannot be written, is removed."""
        try:
            return self._ops.open(name, _OPEN, 0o600, dir_fd=self._folders.tmp)
        except PermissionError:
            self._unseal(name, watch)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
            discard(self._ops, name, dir_fd=self._folders.tmp)
        return self._ops.open(name, _OPEN, 0o600, dir_fd=self._folders.tmp)

    def _unseal(self, name: str, watch: Watch) -> None:
        """Make writable what died between being sealed and being named; never a blob itself."""
        with opened(self._ops, name, READ, dir_fd=self._folders.tmp) as fd:
            wait_lock(self._ops, fd, watch)
            if self._ops.fstat(fd).st_nlink == 1:
                self._ops.fchmod(fd, 0o600)
            else:
                discard(self._ops, name, dir_fd=self._folders.tmp)

    def _claim(self, name: str) -> str:
        """Where nothing can be locked: give the part a name that only we know. The first to do so has it."""
        own = unique(name.removesuffix(PART)) + PART
        tmp = self._folders.tmp
        try:
            self._ops.rename(name, own, source_fd=tmp, target_fd=tmp)
        except FileNotFoundError:
            return name
        return own

    def _same(self, fd: int, name: str) -> bool:
        """Whether `name` still means the file that is open and now held, and nothing else does."""
        try:
            look = self._ops.lstat(name, dir_fd=self._folders.tmp)
        except FileNotFoundError:
            return False
        mine = self._ops.fstat(fd)
        same = (look.st_dev, look.st_ino) == (mine.st_dev, mine.st_ino)
        # With a second name it is the blob, whose writer died before it removed this one.
        if same and modes.S_ISREG(mine.st_mode) and mine.st_nlink == 1:
            return True
        if same or name != self._shared(name):
            discard(self._ops, name, dir_fd=self._folders.tmp)
        return False

    def _shared(self, name: str) -> str:
        """The name under which all on this host look for the part."""
        return ".".join(name.split(".")[:2]) + PART

    def _remove(self, name: str) -> None:
        with self._folders.errors("remove", name):
            discard(self._ops, name, dir_fd=self._folders.tmp)
            discard(self._ops, name + SUFFIX, dir_fd=self._folders.tmp)

    # Filling it

    @contextmanager
    def _part(self, temp: Temp, expect: Expected, size: int, watch: Watch) -> Iterator[LocalPart]:
        assert expect.sha256 is not None
        blocks = Blocks(size, self.grain.block)
        # What has one block is written at once, or anew.
        shared = self._shared(temp.name)
        sidecar = Sidecar(self._folders, shared, expect.sha256, blocks) if len(blocks) > 1 else None
        kept = False
        try:
            with self._folders.errors("write", expect.name, need=size):
                table = self._table(temp, blocks, sidecar)
                kept = table is not None  # until it has been read
                here = self._good(temp, blocks, sidecar, table, watch)
                kept = any(one is not None for one in here)
                need = size - on_disk(self._ops.fstat(temp.fd))
                reserve(self._folders, expect.name, need, own=temp.name)
                if sidecar:
                    here = salvage(
                        self._folders, self._whole(expect.sha256, blocks), temp.fd, here, watch
                    )
            progress, every = Progress(blocks, here), self.grain.checkpoint
            part = LocalPart(self._folders, self._publisher, temp, expect, progress, sidecar, every)
            try:
                with closing(part):
                    yield part
            finally:
                kept = part.resumable
                if part.refused:
                    self._blobs.tables.discard(expect.sha256)  # what it told may be why
        finally:
            self._leave(temp, sidecar, kept=kept)

    def _table(self, temp: Temp, blocks: Blocks, sidecar: Sidecar | None) -> BlockTable | None:
        """What the part says that it has; it can be written then."""
        self._ops.fchmod(temp.fd, 0o600)
        if sidecar is None:
            return None
        sidecar.claim(temp.name)
        return sidecar.load() if self._ops.fstat(temp.fd).st_size == blocks.size else None

    def _good(
        self, temp: Temp, blocks: Blocks, sidecar: Sidecar | None, table: BlockTable | None, watch: Watch
    ) -> list[int | None]:
        """The checksums of the blocks that are right; the file has its full size then."""
        good = frozenset(matching(self._ops, temp.fd, table, watch) if table else ())
        if not good:
            self._ops.truncate(temp.fd, 0)
            if sidecar:
                sidecar.create()
        self._ops.truncate(temp.fd, blocks.size)
        known = table.checksums if table else ()
        return [known[index] if index in good else None for index in range(len(blocks))]

    def _whole(self, digest: Digest, blocks: Blocks) -> BlockTable | None:
        """The table of the blob when it was here, if it was cut in the same way."""
        table = self._blobs.tables.read(digest)
        return table if table and table.blocks == blocks else None

    def _leave(self, temp: Temp, sidecar: Sidecar | None, *, kept: bool) -> None:
        """Let go of the part's names, or give them back for the next who asks."""
        tmp, shared = self._folders.tmp, self._shared(temp.name)
        if not kept:
            self._remove(temp.name)
        elif temp.name != shared and sidecar:
            with self._folders.errors("rename", temp.name):
                sidecar.claim(shared)
                self._ops.rename(temp.name, shared, source_fd=tmp, target_fd=tmp)


def _promised(expect: Expected) -> tuple[Digest, int]:
    for field in ("sha256", "size"):
        if getattr(expect, field) is None:
            raise InvalidInput(
                f"{expect.name} cannot be received in ranges: its {field} is not known",
                hint="Give what the source declares, or use put(), which needs no promise.",
                field=field,
            )
    assert expect.sha256 is not None
    assert expect.size is not None
    return expect.sha256, expect.size
