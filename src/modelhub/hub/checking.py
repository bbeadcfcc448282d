"""Compares the store's folder with the database, and brings the two together again."""

import logging
from collections.abc import Callable, Mapping
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
from modelhub.hub.leftovers import Leftovers
from modelhub.jobs import Holds
from modelhub.refs import Digest
from modelhub.registry import FetchClaims, Registry, SnapshotRecord, StoreKey, StoreLedger
from modelhub.store import Store
from modelhub.store.fsops import Watch
from modelhub.store.layout import BLOBS, TABLES, blob_path
from modelhub.store.stock import Stock, StockTaker, is_file, is_writable

log = logging.getLogger(__name__)

Mend = Callable[[], str]

_STOPPED = (Cancelled, DeadlineExceeded, HubClosed)
"""The end of the check, and not of a file: a deadline is a `TimeoutError`, and so an `OSError`."""


@dataclass(frozen=True, slots=True)
class Checker:
    """Never deletes what it does not understand, and moves nothing aside but what has a wrong hash."""

    registry: Registry
    store: Store
    ledger: StoreLedger
    place: StoreKey
    holds: Holds

    def check(
        self, call: Call, show: ProgressCallback | None, *, repair: bool, deep: bool
    ) -> StoreCheck:
        """Look at every blob, row, snapshot and leftover; see `StoreKeeping.check`.

        Raises:
            StoreUnavailable: the store is no folder of this host, or cannot be read.
        """
        if not self.store.uri.startswith("file:"):
            raise StoreUnavailable(
                f"the store {self.store.uri} is no folder of this host, so its names cannot be compared",
                hint="modelhub store scrub reads what it has.",
            )
        claims = FetchClaims(self.registry, self.place)
        left = Leftovers(claims, self.holds, self.store).check(repair=repair)
        try:
            report = _Run(self, call, show, repair=repair, deep=deep, faults=[*left]).report()
        except _STOPPED:
            raise
        except OSError as error:
            raise StoreUnavailable(
                f"the store {self.store.uri} cannot be read: {error.strerror} ({error.filename})",
                hint="Look at the folder's disk and its permissions.",
            ) from error
        figures = {"blobs": report.blobs, "faults": len(report.faults), "left": len(report.left)}
        log.info("store_checked", extra=figures)
        return report

    def snapshots(self) -> tuple[SnapshotRecord, ...]:
        """Every folder that the database knows in this store."""
        with self.registry.read() as tx:
            return tx.snapshots.all(store=self.place)

    def doomed(self) -> frozenset[Digest]:
        """Blobs that a purge or a collection marked, and did not delete."""
        with self.registry.read() as tx:
            return frozenset(tx.removals.doomed(self.place))

    def advice(self, digest: Digest) -> str:
        """What brings a blob back."""
        with self.registry.read() as tx:
            repos = dict.fromkeys(file.repo for file in tx.served.listed(digest))
        if not repos:
            return "no repository that is known has it: only a backup can bring it back"
        return f"the next pull of {' or '.join(repos)} fetches it"


@dataclass
class _Run:
    """One check."""

    home: Checker
    call: Call
    show: ProgressCallback | None
    repair: bool
    deep: bool
    hashed: int = 0
    faults: list[StoreFault] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.disk = StockTaker(self.home.store.root)

    def report(self) -> StoreCheck:
        stock, doomed = self.disk.take(), self.home.doomed()
        rows = {record.digest: record for record in self.home.ledger.everything()}
        self._blobs(stock, rows, doomed)
        records = self.home.snapshots()
        for record in records:
            self._snapshot(record)
        self._names(stock, {record.path for record in records})
        aside = self.home.store.inventory().quarantine
        return StoreCheck(
            store=self.home.store.uri,
            blobs=len(stock.blobs),
            bytes=sum(look.st_size for look in stock.blobs.values()),
            files=sum(len(record.files) for record in records),
            hashed=self.hashed,
            quarantine=len(aside),
            quarantine_bytes=sum(one.size for one in aside),
            faults=tuple(self.faults),
        )

    # Blobs

    def _blobs(self, stock: Stock, rows: Mapping[Digest, BlobRecord], doomed: frozenset[Digest]) -> None:
        wanted = sorted({*stock.blobs, *rows, *doomed})
        for number, digest in enumerate(wanted):
            self.call.check()
            if self.show:
                progress = Progress(
                    stage="check", done=number, total=len(wanted), item=digest, unit="files"
                )
                self.show(progress)
            if digest in doomed:
                self._note(FaultKind.DOOMED, blob_path(digest), "a purge or a collection was cut short")
            else:
                self._blob(digest, rows.get(digest))

    def _blob(self, digest: Digest, row: BlobRecord | None) -> None:
        path, look = blob_path(digest), self.disk.look(blob_path(digest))
        present = row is not None and row.state is BlobState.PRESENT
        if look is None:
            if present and not self._now_known_missing(digest):
                self._note(FaultKind.MISSING, path, "the file is gone", lambda: self._miss(digest))
            return
        if not is_file(look):
            self._note(FaultKind.DAMAGED, path, "no regular file", lambda: self._prove(digest))
        elif row is not None and present and look.st_size != row.size:
            reason = f"{look.st_size} bytes, not {row.size}"
            self._note(FaultKind.DAMAGED, path, reason, lambda: self._prove(digest))
        elif self.deep and (wrong := self._wrong(digest)):
            kind, reason = wrong
            self._note(kind, path, reason, lambda: self._prove(digest))
        elif not present:
            state = "not in the database" if row is None else f"{row.state} in the database"
            self._note(FaultKind.UNKNOWN, path, state, lambda: self._prove(digest))
        elif is_writable(look):
            self._note(FaultKind.WRITABLE, path, "not read-only", lambda: self._protect(digest))

    def _now_known_missing(self, digest: Digest) -> bool:
        """Whether a purge in the same moment has taken the row as well."""
        record = self.home.ledger.find([digest]).get(digest)
        return record is None or record.state is not BlobState.PRESENT

    def _wrong(self, digest: Digest) -> tuple[FaultKind, str] | None:
        try:
            actual = self.disk.sha256(blob_path(digest), Watch(check=self.call.check))
        except FileNotFoundError:
            return None  # it was removed meanwhile
        except _STOPPED:
            raise
        except OSError as error:
            return FaultKind.UNREAD, f"{error.strerror}"
        self.hashed += 1
        return None if actual == digest else (FaultKind.DAMAGED, f"its sha256 is {actual}")

    def _miss(self, digest: Digest) -> str:
        self.home.store.present([digest])
        return f"noted; {self.home.advice(digest)}"

    def _prove(self, digest: Digest) -> str:
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
        return f"made read-only; {self._prove(digest)}"

    # Snapshots

    def _snapshot(self, record: SnapshotRecord) -> None:
        for file in record.files:
            self.call.check()
            path = f"{record.path}/{file.path}"
            try:
                kind, reason = FaultKind.UNLINKED, self._unlinked(record, file)
            except _STOPPED:
                raise
            except OSError as error:
                kind, reason = FaultKind.UNREAD, error.strerror or str(error)
            if reason:
                self._note(kind, path, reason, self._linking(record, file))

    def _unlinked(self, record: SnapshotRecord, file: SnapshotFile) -> str | None:
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
            self._note(FaultKind.STRANGE, path, "no name of ours; left alone")
        for path in sorted(stock.folders - known):
            self._note(FaultKind.STRANGE, path, "a folder that no repository has; left alone")
        for digest in sorted(stock.tables - stock.blobs.keys()):
            if self.disk.look(blob_path(digest)) is None:
                path = blob_path(digest).replace(BLOBS, TABLES, 1)
                self._note(
                    FaultKind.TABLE, path, "checksums of a blob that is gone", self._dropping(digest)
                )

    def _dropping(self, digest: Digest) -> Mend:
        def drop() -> str:
            self.disk.drop_table(digest)
            return "removed"

        return drop

    def _note(self, kind: FaultKind, path: str, reason: str, mend: Mend | None = None) -> None:
        done, left = None, True
        if self.repair and mend:
            try:
                done, left = mend(), False
            except _STOPPED:
                raise
            except ModelHubError as error:
                done = f"could not be repaired: {error.message}"
            except OSError as error:
                done = f"could not be repaired: {error.strerror}"
        elif self.repair and kind is FaultKind.DOOMED:
            done = "modelhub gc, or the next purge, ends it"
        self.faults.append(StoreFault(kind=kind, path=path, reason=reason, done=done, left=left))
