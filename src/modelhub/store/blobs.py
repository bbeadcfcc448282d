"""One blob at a time: publish it, vouch for it, set it aside."""

import errno
import logging
import stat as modes
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from os import stat_result
from typing import NoReturn

from modelhub.errors import ArtifactNotFound, StoreUnavailable
from modelhub.facts import BlobRecord, BlobState, Proof
from modelhub.refs import Digest
from modelhub.store import layout, proof
from modelhub.store.folders import Folders, folder_in, unique
from modelhub.store.fsops import ALONE, READ, Watch, wait_lock
from modelhub.store.hardlinks import unlink_all
from modelhub.store.intake import sha256_of
from modelhub.store.ports import Ledger
from modelhub.store.refusals import other_bytes
from modelhub.store.tables import Tables

_log = logging.getLogger("modelhub.store")

Clock = Callable[[], int]

# Each round ends because somebody else published or removed the same blob meanwhile.
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Held:
    """An open blob whose lock is ours."""

    fd: int
    digest: Digest


class Blobs:
    """The blobs of one store. `clock` gives nanoseconds since 1970; `host` names this machine."""

    def __init__(self, folders: Folders, ledger: Ledger, clock: Clock, host: str) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._ledger = ledger
        self.clock = clock
        self.host = host
        self.tables = Tables(folders)

    # What is here

    def find(self, digests: Iterable[Digest]) -> dict[Digest, BlobRecord]:
        """Those whose file is there. The ledger learns what came or went.

        A file that the ledger does not know is there too, without a proof: its store was moved, or
        the ledger is another.
        """
        wanted = tuple(dict.fromkeys(digests))
        records = self._ledger.find(wanted)
        here: dict[Digest, BlobRecord] = {}
        news: list[BlobRecord] = []
        for digest in wanted:
            look = self.look(digest)
            if (known := records.get(digest)) is None:
                if look is not None and modes.S_ISREG(look.st_mode):
                    here[digest] = unproven(digest, look.st_size)
                continue
            if known.state is BlobState.QUARANTINED:
                continue
            if look is not None and look.st_size != known.size:
                # Either of the two is damaged, and hashing tells which.
                here[digest] = unproven(digest, look.st_size)
                continue
            state = BlobState.MISSING if look is None else BlobState.PRESENT
            # The proof stays: a disk that was unmounted brings the same file back.
            record = known if known.state is state else known.model_copy(update={"state": state})
            if record is not known:
                news.append(record)
            if look is not None:
                here[digest] = record
        if news:
            self._ledger.record(news)
        return here

    def look(self, digest: Digest) -> stat_result | None:
        """What stands under the digest's name, not followed if it is a link."""
        with self._folders.errors("look at", digest):
            try:
                return self._ops.lstat(layout.blob_name(digest), dir_fd=self._folders.blobs)
            except FileNotFoundError:
                return None

    def proven(self, record: BlobRecord) -> bool:
        """Whether the file has not changed since it was hashed, by one look at it."""
        look = self.look(record.digest)
        return look is not None and modes.S_ISREG(look.st_mode) and self._holds(record, look)

    def _holds(self, record: BlobRecord, look: stat_result) -> bool:
        return record.size == look.st_size and proof.holds(record.proof, look, self.host)

    # Vouching

    def vouch(self, digest: Digest, watch: Watch, *, rehash: bool = False) -> BlobRecord:
        """The record of a blob whose bytes are right, hashed again where no proof says so.

        Raises:
            ArtifactNotFound: there is no such blob.
            IntegrityError: it held other bytes, and is in quarantine now.
        """
        with self.hold(digest, watch) as held:
            return self.vouch_held(held, watch, rehash=rehash)

    def vouch_held(
        self,
        held: Held,
        watch: Watch,
        *,
        rehash: bool = False,
        believe: bool = False,
        leave: bool = False,
    ) -> BlobRecord:
        """`vouch` for a blob that is held. Who waited for the lock reads what was proven meanwhile; who is to
        `believe` takes any record, who is to `leave` things alone moves nothing to quarantine.
        """
        known = self._ledger.find([held.digest]).get(held.digest)
        with self._folders.errors("look at", held.digest):
            now = self._ops.fstat(held.fd)
        trusted = known is not None and known.state is BlobState.PRESENT and not rehash
        if known and trusted and (believe or self._holds(known, now)):
            return known
        started, seen = time.monotonic(), self.clock()
        with self._folders.errors("read", held.digest):
            before = self.seal(held.fd)
            self._ops.fsync(held.fd)  # whoever put it there may not have
            actual = sha256_of(self._ops, held.fd, watch)
        if actual != held.digest and leave:
            raise other_bytes(held.digest, actual, "nowhere: it was left where it is")
        if actual != held.digest:
            self.set_aside(held.digest, actual, known, started)
        with self._folders.errors("write", held.digest), self._shard(held.digest) as shard:
            self._ops.fsync(shard)
        return self.note(self.noted(held.digest, before, seen=seen))

    def seal(self, fd: int) -> stat_result:
        """Make the next write to `fd` show in its times, where we may set them; see `proof`."""
        for _ in range(2):  # once more when the clock was set back since the last write
            look = self._ops.fstat(fd)
            mtime = proof.back_dated(look)
            if mtime is None:
                return look
            try:
                self._ops.futime(fd, look.st_atime_ns, mtime)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EACCES, errno.EROFS):
                    raise
                return look
        return self._ops.fstat(fd)

    def note(self, record: BlobRecord) -> BlobRecord:
        """Write a record down."""
        self._ledger.record([record])
        return record

    def noted(
        self,
        digest: Digest,
        look: stat_result,
        after: stat_result | None = None,
        *,
        seen: int | None = None,
    ) -> BlobRecord:
        """The record of a right file; what looks are which, `proof_of` says."""
        now = self.clock()
        return BlobRecord(
            digest=digest,
            size=look.st_size,
            state=BlobState.PRESENT,
            path=layout.blob_path(digest),
            proof=self.proof_of(look, after, seen=seen),
            verified_at=datetime.fromtimestamp(now / 1e9, UTC),
        )

    def record(self, records: Iterable[BlobRecord]) -> None:
        """Write records down, in one transaction."""
        self._ledger.record(records)

    def proof_of(
        self, look: stat_result, after: stat_result | None = None, *, seen: int | None = None
    ) -> Proof:
        """The proof of a right file that looked so, when it was `seen`; `after` is how our own link left it."""
        now = self.clock()
        taken = proof.take(look, self.host, now if seen is None else seen)
        return proof.renewed(taken, after, now) if after else taken

    def believed(self, held: Held) -> BlobRecord | None:
        """The record of a held blob, when its proof holds."""
        known = self._ledger.find([held.digest]).get(held.digest)
        with self._folders.errors("look at", held.digest):
            look = self._ops.fstat(held.fd)
        return known if known is not None and self._holds(known, look) else None

    def renew(self, held: Held, known: BlobRecord) -> BlobRecord:
        """Record the change time that our own link to a vouched blob, or its seal, has left."""
        if known.proof is None:
            return known  # it was believed
        with self._folders.errors("look at", held.digest):
            after = self._ops.fstat(held.fd)
        fresh = proof.renewed(known.proof, after, self.clock())
        return self.note(known.model_copy(update={"proof": fresh}))

    @contextmanager
    def hold(self, digest: Digest, watch: Watch = ALONE) -> Iterator[Held]:
        """The blob, open and locked: by thread and by process, one at a time vouches or links.

        Raises:
            ArtifactNotFound: there is no such blob.
            IntegrityError: what stands there is no file; it is in quarantine now.
        """
        for _ in range(_ROUNDS):
            fd = self._open(digest)
            try:
                with self._folders.errors("lock", digest):
                    wait_lock(self._ops, fd, watch)
                    mine = self._ops.fstat(fd)
                look = self.look(digest)
                if look and (look.st_dev, look.st_ino) == (mine.st_dev, mine.st_ino):
                    yield Held(fd, digest)
                    return
            finally:
                self._ops.close(fd)
        raise self.busy(digest)

    @contextmanager
    def reading(self, digest: Digest) -> Iterator[int]:
        """The blob, open for reading, not vouched for.

        Raises:
            ArtifactNotFound, IntegrityError: as `hold`.
        """
        fd = self._open(digest)
        try:
            yield fd
        finally:
            self._ops.close(fd)

    def _open(self, digest: Digest) -> int:
        look = self.look(digest)
        if look is not None and not modes.S_ISREG(look.st_mode):
            known = self._ledger.find([digest]).get(digest)
            self.set_aside(digest, "no regular file", known, time.monotonic())
        with self._folders.errors("open", digest):
            try:
                return self._ops.open(layout.blob_name(digest), READ, dir_fd=self._folders.blobs)
            except FileNotFoundError:
                self.find([digest])  # so that the ledger says MISSING
        raise ArtifactNotFound(
            f"the store has no blob {digest}",
            hint="Pull the model again; what is missing is fetched.",
            digests=[digest],
        )

    def _shard(self, digest: Digest) -> AbstractContextManager[int]:
        return folder_in(self._ops, digest[:2], self._folders.blobs)

    # Setting aside

    def set_aside(
        self, digest: Digest, actual: str, known: BlobRecord | None, started: float
    ) -> NoReturn:
        """Move what stands under `digest` to quarantine and raise `IntegrityError`."""
        path = layout.blob_path(digest)
        record = known or BlobRecord(digest=digest, size=0, state=BlobState.MISSING, path=path)
        # First the ledger: once the name is free, another may publish and record the right bytes.
        news = {"state": BlobState.QUARANTINED, "proof": None, "verified_at": None}
        self._ledger.record([record.model_copy(update=news)])
        # Before it is moved: who dies in between finds the blob, and this, again.
        self._unlink_from_snapshots(digest)
        kept = self._move_aside(digest)
        fields = {
            "hash": digest,
            "file_path": path,
            "duration_ms": _since(started),
            "actual": actual,
            "quarantine_path": kept,
        }
        _log.error("artifact_quarantined", extra=fields)
        raise other_bytes(digest, actual, kept)

    def _unlink_from_snapshots(self, digest: Digest) -> None:
        """Take the wrong bytes out of the snapshots where they are a second name of this file."""
        look = self.look(digest)
        if look is None or not modes.S_ISREG(look.st_mode):
            return
        with self._folders.errors("unlink", digest):
            gone = unlink_all(self._folders, (look.st_dev, look.st_ino), look.st_nlink - 1)
        for path in gone:
            _log.warning("snapshot_file_removed", extra={"hash": digest, "file_path": path})

    def _move_aside(self, digest: Digest) -> str:
        kept = unique(digest)
        with self._folders.errors("set aside", digest), self._shard(digest) as shard:
            try:
                self._ops.rename(digest, kept, source_fd=shard, target_fd=self._folders.quarantine)
            except FileNotFoundError:
                return "nowhere: it was gone"
            self._ops.fsync(shard)
            self._ops.fsync(self._folders.quarantine)
        return f"{layout.QUARANTINE}/{kept}"

    def busy(self, digest: Digest) -> StoreUnavailable:
        """The error for a blob that does not stand still."""
        return StoreUnavailable(
            f"the blob {digest} in {self._folders.root} keeps changing",
            hint="Something else writes into the store's folders; let modelhub alone do that.",
        )


def unproven(digest: Digest, size: int) -> BlobRecord:
    """What is said of a blob that is there, and was not hashed here."""
    path = layout.blob_path(digest)
    return BlobRecord(digest=digest, size=size, state=BlobState.PRESENT, path=path)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
