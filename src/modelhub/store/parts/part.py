"""One part: written from several threads, hashed meanwhile, made durable now and then."""

import threading
import time
from dataclasses import dataclass
from typing import NoReturn

from modelhub.errors import IntegrityError, StoreUnavailable
from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.blocks import BlockTable, Span
from modelhub.store.folders import Folders, unique
from modelhub.store.fsops import Check, Watch, discard, pwrite_all
from modelhub.store.intake import Expected, Received
from modelhub.store.parts.checkpoints import Checkpoints
from modelhub.store.parts.hashing import Follower
from modelhub.store.parts.progress import Piece, Progress
from modelhub.store.parts.sidecar import Sidecar
from modelhub.store.publishing import Arrival, Publisher, Temp


@dataclass(frozen=True, slots=True)
class Here:
    """Stands for a part of a blob that is here already: there is nothing to do."""

    size: int
    record: BlobRecord
    missing: tuple[Span, ...] = ()

    def write(self, offset: int, data: memoryview) -> None:
        """Nothing: the bytes are here."""

    def finish(self, check: Check) -> BlobRecord:
        """The blob's record."""
        check()
        return self.record


class LocalPart:
    """A file of ours in `tmp` that fills in ranges. Its maker holds its lock, and closes `temp` at the end.

    `every` is after how many new bytes what is written is made durable; without a `sidecar`, never.
    """

    def __init__(
        self,
        folders: Folders,
        publisher: Publisher,
        temp: Temp,
        expect: Expected,
        progress: Progress,
        sidecar: Sidecar | None,
        every: int,
    ) -> None:
        self.size = progress.blocks.size
        self.record: BlobRecord | None = None
        self.refused = False  # other bytes came than promised
        self._folders = folders
        self._ops = folders.ops
        self._publisher = publisher
        self._started = time.monotonic()
        self._temp = temp
        self._expect = expect
        self._progress = progress
        self._change = threading.Condition()
        self._over = False
        self._kept = True
        self._checkpoints = Checkpoints(folders, temp, sidecar, self._checksums, every)
        self._hasher = Follower(self._ops, temp.fd, expect.name)
        self._hasher.advance(progress.whole)
        if sidecar:
            self._hasher.start()

    @property
    def missing(self) -> tuple[Span, ...]:
        """The ranges that are still to come, ascending."""
        with self._change:
            return self._progress.missing

    @property
    def present(self) -> int:
        """How many bytes are here, in whole blocks."""
        with self._change:
            return self._progress.present

    def _checksums(self) -> tuple[int | None, ...]:
        with self._change:
            return self._progress.checksums

    def write(self, offset: int, data: memoryview) -> None:
        """Take bytes that belong at `offset`. A range begins where a block does and comes in order.

        Bytes of a block that is here already are left out.

        Raises:
            IntegrityError: they go beyond the end of the file.
            InvalidInput: the range does not begin at a block, or somebody else writes there.
            StoreFull, StoreUnavailable
        """
        if offset + len(data) > self.size:
            self._expect.refuse("size", self.size, f"more than {self.size} bytes")
        while data:
            with self._change:
                self._refuse_when_over()
                piece = self._progress.begin(offset, len(data))
            if not piece.known:
                self._write(piece, data[: piece.length])
            offset, data = offset + piece.length, data[piece.length :]

    def _write(self, piece: Piece, data: memoryview) -> None:
        try:
            with self._folders.errors("write", self._expect.name, need=self.size):
                pwrite_all(self._ops, self._temp.fd, data, piece.offset)
        except BaseException:
            with self._change:
                self._progress.drop(piece)
                self._change.notify_all()
            raise
        checksum = piece.after(data)
        with self._change:
            if self._progress.end(piece, checksum):
                self._hasher.advance(self._progress.whole)
            self._change.notify_all()
        self._checkpoints.note(piece.length)

    def _refuse_when_over(self) -> None:
        if self._over:
            raise StoreUnavailable(
                f"{self._expect.name} is not being received any more",
                hint="Write before finish(), within the context of receive().",
            )

    def finish(self, check: Check) -> BlobRecord:
        """Compare the whole with what was promised, and give it its name.

        Raises:
            IntegrityError: bytes are missing (what is here is kept), or they are others than promised
                (they go to quarantine).
            StoreFull, StoreUnavailable
        """
        if (present := self.present) != self.size:
            raise IntegrityError(
                f"{self._expect.name}: its size should be {self.size}, but only {present} bytes are here",
                hint="They are kept. Try again: the rest is fetched.",
                path=self._expect.name,
                expected=self.size,
                actual=present,
            )
        self._end()
        self._checkpoints.flush()  # while the hasher comes to its end
        with self._folders.errors("read", self._expect.name):
            actual = self._hasher.digest(check)
        if actual != self._expect.sha256:
            self._refuse(actual)
        table = BlockTable(actual, self._progress.blocks, self._progress.checksums)
        received = Received(actual, self.size, table)
        arrival = Arrival(self._temp, received, self._expect.name, self._started)
        with self._checkpoints.once():
            self.record = self._publisher.publish(arrival, Watch(check=check))
        self._kept = False
        return self.record

    def _end(self) -> None:
        """No more writes; those that are under way come to their end, for the file is closed then."""
        with self._change:
            self._over = True
            while self._progress.busy:
                self._change.wait()
        self._checkpoints.stop()

    def _refuse(self, actual: Digest) -> NoReturn:
        """Keep what arrived as evidence, in place of what an earlier try has left."""
        prefix = f"{self._expect.sha256}.bad"
        kept, aside = unique(prefix), self._folders.quarantine
        self._kept = False
        self.refused = True
        with self._folders.errors("set aside", self._expect.name):
            earlier = [one for one in self._ops.listdir(aside) if one.startswith(f"{prefix}.")]
            self._ops.rename(self._temp.name, kept, source_fd=self._folders.tmp, target_fd=aside)
            for one in earlier:
                discard(self._ops, one, dir_fd=aside)
        path = f"{layout.QUARANTINE}/{kept}"
        raise IntegrityError(
            f"{self._expect.name}: its sha256 should be {self._expect.sha256}, but {actual} arrived",
            hint=f"It was moved to {path}. Try again; if it stays so, the source serves other bytes than it declares.",
            path=self._expect.name,
            expected=self._expect.sha256,
            actual=actual,
            kept=path,
        )

    @property
    def resumable(self) -> bool:
        """Whether there is anything here that the next who asks could go on with."""
        return self._kept and self._checkpoints.keep and self.present > 0

    def close(self) -> None:
        """End all work; without `finish`, make durable what is here."""
        try:
            self._end()
            if self.resumable:
                self._checkpoints.save()
        finally:
            self._hasher.stop()
