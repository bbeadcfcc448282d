"""Compares the store's folder with the database, and brings the two together again."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from modelhub.errors import (
    ArtifactNotFound,
    Cancelled,
    DeadlineExceeded,
    HubClosed,
    IntegrityError,
    ModelHubError,
    StoreUnavailable,
)
from modelhub.facts import (
    BlobRecord,
    BlobState,
    Call,
    FaultKind,
    Progress,
    ProgressCallback,
    SnapshotFile,
    StoreCheck,
    StoreFault,
)
from modelhub.hub.checking.home import Home
from modelhub.refs import Digest
from modelhub.registry import SnapshotRecord
from modelhub.store.fsops import Watch
from modelhub.store.layout import BLOBS, TABLES, blob_path
from modelhub.store.stock import Stock, StockTaker, is_file, is_writable

Mend = Callable[[], str]

STOPPED = (Cancelled, DeadlineExceeded, HubClosed)
"""The end of the check, and not of a file: a deadline is a `TimeoutError`, and so an `OSError`."""


@dataclass
class FolderRun:
    """One check of a store on this host."""

    home: Home
    call: Call
    show: ProgressCallback | None
    repair: bool
    deep: bool
    read: set[Digest] = field(default_factory=set)
    faults: list[StoreFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.disk = StockTaker(self.home.store.root)

    def report(self) -> StoreCheck:
        stock = self.disk.take()
        sizes = self.sizes_of(stock)
        rows = {record.digest: record for record in self.home.ledger.everything()}
        self._blobs(sizes.keys(), rows, self.home.doomed())
        records = self.home.snapshots()
        for record in records:
            self._snapshot(record)
        self._names(stock, {record.path for record in records})
        aside = self.home.store.inventory().quarantine
        return StoreCheck(
            store=self.home.store.uri,
            blobs=len(sizes),
            bytes=sum(sizes.values()),
            files=sum(len(record.files) for record in records),
            hashed=len(self.read),
            quarantine=len(aside),
            quarantine_bytes=sum(one.size for one in aside),
            faults=tuple(self.faults),
        )

    def sizes_of(self, stock: Stock) -> Mapping[Digest, int]:
        """What there is of blobs, in bytes."""
        return {digest: look.st_size for digest, look in stock.blobs.items()}

    # Blobs

    def _blobs(
        self, there: Collection[Digest], rows: Mapping[Digest, BlobRecord], doomed: Collection[Digest]
    ) -> None:
        wanted = sorted({*there, *rows, *doomed})
        for number, digest in enumerate(wanted):
            self.call.check()
            if self.show:
                progress = Progress(
                    stage="check", done=number, total=len(wanted), item=digest, unit="files"
                )
                self.show(progress)
            if digest in doomed:
                self.note(FaultKind.DOOMED, blob_path(digest), "a purge or a collection was cut short")
            else:
                self.blob(digest, rows.get(digest))

    def blob(self, digest: Digest, row: BlobRecord | None) -> None:
        """Look at one that is here, or that a row tells of."""
        path, look = blob_path(digest), self.disk.look(blob_path(digest))
        present = row is not None and row.state is BlobState.PRESENT
        if look is None:
            if present and not self.now_known_missing(digest):
                self.note(FaultKind.MISSING, path, "the file is gone", lambda: self._miss(digest))
            return
        if not is_file(look):
            self.note(FaultKind.DAMAGED, path, "no regular file", lambda: self.prove(digest))
        elif row is not None and present and look.st_size != row.size:
            reason = f"{look.st_size} bytes, not {row.size}"
            self.note(FaultKind.DAMAGED, path, reason, lambda: self.prove(digest))
        elif self.deep and (wrong := self.wrong(digest)):
            kind, reason = wrong
            self.note(kind, path, reason, lambda: self.prove(digest))
        elif not present:
            state = "not in the database" if row is None else f"{row.state} in the database"
            self.note(FaultKind.UNKNOWN, path, state, lambda: self.prove(digest))
        elif is_writable(look):
            self.note(FaultKind.WRITABLE, path, "not read-only", lambda: self._protect(digest))

    def now_known_missing(self, digest: Digest) -> bool:
        """Whether a purge in the same moment has taken the row as well."""
        record = self.home.ledger.find([digest]).get(digest)
        return record is None or record.state is not BlobState.PRESENT

    def wrong(self, digest: Digest) -> tuple[FaultKind, str] | None:
        """What its bytes say."""
        try:
            actual = self.disk.sha256(blob_path(digest), Watch(check=self.call.check))
        except FileNotFoundError:
            return None  # it was removed meanwhile
        except STOPPED:
            raise
        except OSError as error:
            return FaultKind.UNREAD, f"{error.strerror}"
        self.read.add(digest)
        return None if actual == digest else (FaultKind.DAMAGED, f"its sha256 is {actual}")

    def _miss(self, digest: Digest) -> str:
        self.home.store.present([digest])
        return f"noted; {self.home.advice(digest)}"

    def prove(self, digest: Digest) -> str:
        """Hash it, and note or move aside what is found."""
        try:
            self.home.store.verify([digest], "full", check=self.call.check)
        except ArtifactNotFound:
            return f"it is gone; {self.home.advice(digest)}"
        except IntegrityError as error:
            return f"moved to {error.details['kept']}; {self.home.advice(digest)}"
        except StoreUnavailable as error:
            text = f"{error.message}; delete it, and {self.home.advice(digest)}"
            raise StoreUnavailable(text, hint=error.hint) from error
        return "hashed: it is right, and noted"

    def _protect(self, digest: Digest) -> str:
        self.disk.protect(digest)
        return f"made read-only; {self.prove(digest)}"

    # Snapshots

    def _snapshot(self, record: SnapshotRecord) -> None:
        for file in record.files:
            self.call.check()
            path = f"{record.path}/{file.path}"
            try:
                kind, reason = FaultKind.UNLINKED, self.unlinked(record, file)
            except STOPPED:
                raise
            except OSError as error:
                kind, reason = FaultKind.UNREAD, error.strerror or str(error)
            if reason:
                self.note(kind, path, reason, self._linking(record, file))

    def unlinked(self, record: SnapshotRecord, file: SnapshotFile) -> str | None:
        """Why a file of a snapshot is not what it should be."""
        look = self.disk.look(f"{record.path}/{file.path}")
        blob = self.disk.look(blob_path(file.sha256))
        if look is None:
            return "the file is gone"
        if file.link == "hardlink" and blob and (look.st_dev, look.st_ino) != (blob.st_dev, blob.st_ino):
            # Whoever copies a store without its links has right files, too.
            return self._other(f"{record.path}/{file.path}", look.st_size, file)
        if file.link == "symlink" and blob is None:
            return "it leads to a blob that is gone"
        return None

    def _other(self, path: str, size: int, file: SnapshotFile) -> str | None:
        if size != file.size:
            return f"it has {size} bytes, not {file.size}"
        if self.deep and self.disk.sha256(path, Watch(check=self.call.check)) != file.sha256:
            return "it has other bytes"
        return None

    def _linking(self, record: SnapshotRecord, file: SnapshotFile) -> Mend:
        def link() -> str:
            vendor, _, name = record.repo.rpartition("/")
            if self.home.store.snapshot_path(vendor, name, record.commit) != record.path:
                raise StoreUnavailable("its folder is not where modelhub would make it")
            try:
                self.home.store.link(vendor, name, record.commit, {file.path: file.sha256})
            except (ArtifactNotFound, IntegrityError):
                return f"its blob is not here; {self.home.advice(file.sha256)}, and links it"
            except StoreUnavailable as error:
                text = f"{error.message}; delete it, and the next check that repairs links it again"
                raise StoreUnavailable(text, hint=error.hint) from error
            return "linked again"

        return link

    # Names that nobody knows

    def _names(self, stock: Stock, known: set[str]) -> None:
        for path in stock.strange:
            self.note(FaultKind.STRANGE, path, "no name of ours; left alone")
        for path in sorted(stock.folders - known):
            self.note(FaultKind.STRANGE, path, "a folder that no repository has; left alone")
        for digest in sorted(stock.tables - stock.blobs.keys()):
            if self.disk.look(blob_path(digest)) is None:
                path = blob_path(digest).replace(BLOBS, TABLES, 1)
                self.note(
                    FaultKind.TABLE, path, "checksums of a blob that is gone", self._dropping(digest)
                )

    def _dropping(self, digest: Digest) -> Mend:
        def drop() -> str:
            self.disk.drop_table(digest)
            return "removed"

        return drop

    def note(self, kind: FaultKind, path: str, reason: str, mend: Mend | None = None) -> None:
        """Keep a fault, and what `mend` did about it."""
        done, left = None, True
        if self.repair and mend:
            try:
                done, left = mend(), False
            except STOPPED:
                raise
            except ModelHubError as error:
                done = f"could not be repaired: {error.message}"
            except OSError as error:
                done = f"could not be repaired: {error.strerror}"
        elif self.repair and kind is FaultKind.DOOMED:
            done = "modelhub gc, or the next purge, ends it"
        self.faults.append(StoreFault(kind=kind, path=path, reason=reason, done=done, left=left))
