"""Gives bytes that arrived their name: durable first, never over anything, in a group where there are many."""

import errno
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from os import stat_result

from modelhub.errors import ArtifactNotFound, IntegrityError
from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.blobs import Blobs
from modelhub.store.folders import Folders, open_folder, unique
from modelhub.store.fsops import ALONE, CREATE, Watch, discard, wait_lock
from modelhub.store.intake import Received

_log = logging.getLogger("modelhub.store")

# Each round ends because somebody else published or removed the same blob meanwhile.
_ROUNDS = 8
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


@dataclass(frozen=True, slots=True)
class Temp:
    """A file in `tmp`. Unless it is `ours` it has other names elsewhere, and its mode and times stay."""

    fd: int
    name: str
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Arrival:
    """Bytes that are whole and right in a file of ours; errors and logs call them `name`.

    `started` is when the first byte was asked for, by `time.monotonic`. Of a file that somebody else may
    write to, `look` is how it looked before it was hashed, when it was `seen`.
    """

    temp: Temp
    received: Received
    name: str
    started: float
    look: stat_result | None = None
    seen: int | None = None


class Publisher:
    """Makes blobs of what arrived in one store."""

    def __init__(self, folders: Folders, blobs: Blobs) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._blobs = blobs

    @contextmanager
    def temp(self, watch: Watch = ALONE) -> Iterator[Temp]:
        """A new file of ours in `tmp`, gone at the end; its lock says that we live."""
        name = unique("put")
        with self._folders.errors("make a file in", layout.TMP):
            fd = self._ops.open(name, CREATE, 0o600, dir_fd=self._folders.tmp)
        try:
            with self._folders.errors("lock", name):
                wait_lock(self._ops, fd, watch)
            yield Temp(fd, name)
        finally:
            self._ops.close(fd)
            with self._folders.errors("remove", name):
                discard(self._ops, name, dir_fd=self._folders.tmp)

    def publish(self, arrival: Arrival, watch: Watch) -> BlobRecord:
        """Give bytes their name; when they have it already, vouch for what is there."""
        digest = arrival.received.digest
        for _ in range(_ROUNDS):
            if named := self.name([arrival]):
                return named[digest]
            try:
                record = self._blobs.vouch(digest, watch)
            except (ArtifactNotFound, IntegrityError):
                continue  # it went, or was wrong and is in quarantine: the name is free
            _stored(arrival)
            return record
        raise self._blobs.busy(digest)

    def name(self, arrivals: Sequence[Arrival]) -> dict[Digest, BlobRecord]:
        """The records of those that are blobs now. A name that is taken already stays as it is.

        All are made durable, then all get their names, then the folders are made durable, then the
        ledger hears of all at once.
        """
        looks = [self._seal(one) for one in arrivals]
        new: list[tuple[Arrival, stat_result]] = []
        with ExitStack() as stack:
            shards: dict[str, int] = {}
            for one, look in zip(arrivals, looks, strict=True):
                with self._folders.errors("publish", one.name, need=one.received.size):
                    if self._link(one, self._shard(one, shards, stack)):
                        new.append((one, look))
            for prefix in {one.received.digest[:2] for one, _ in new}:
                with self._folders.errors("publish", layout.BLOBS):
                    self._ops.fsync(shards[prefix])
        notes = [self._noted(one, look) for one, look in new]
        if notes:
            self._blobs.record(notes)
        for one, _ in new:
            _stored(one)
        return {note.digest: note for note in notes}

    def _seal(self, one: Arrival) -> stat_result:
        """Make the bytes durable and read-only: how the file looks then."""
        with self._folders.errors("write", one.name, need=one.received.size):
            if one.temp.ours:
                self._ops.fchmod(one.temp.fd, 0o444)
            look = one.look or self._blobs.seal(one.temp.fd)
            self._ops.fsync(one.temp.fd)
        return look

    def _shard(self, one: Arrival, shards: dict[str, int], stack: ExitStack) -> int:
        prefix = one.received.digest[:2]
        if prefix not in shards:
            shards[prefix] = open_folder(self._ops, prefix, self._folders.blobs)
            stack.callback(self._ops.close, shards[prefix])
        return shards[prefix]

    def _link(self, one: Arrival, shard: int) -> bool:
        digest, between = one.received.digest, {"source_fd": self._folders.tmp, "target_fd": shard}
        try:
            self._ops.link(one.temp.name, digest, **between)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno == errno.ENOENT and self._blobs.look(digest) is not None:
                return False  # another has published it, and removed ours
            if error.errno not in _NO_LINKS:
                raise
            # No hard links here: a rename is as atomic, and replaces only equal bytes.
            if self._blobs.look(digest) is not None:
                return False
            self._ops.rename(one.temp.name, digest, **between)
        return True

    def _noted(self, one: Arrival, look: stat_result) -> BlobRecord:
        """The record of a file that has its name now, and loses that in `tmp`."""
        with self._folders.errors("publish", one.name, need=one.received.size):
            if len(one.received.table.blocks) > 1:
                self._blobs.tables.write(one.received.table)
            discard(self._ops, one.temp.name, dir_fd=self._folders.tmp)
            after = self._ops.fstat(one.temp.fd)
            return self._blobs.noted(one.received.digest, look, after, seen=one.seen)


def _stored(one: Arrival) -> None:
    fields = {
        "hash": one.received.digest,
        "file_path": one.name,
        "bytes": one.received.size,
        "duration_ms": round((time.monotonic() - one.started) * 1000),
    }
    _log.info("artifact_stored", extra=fields)
