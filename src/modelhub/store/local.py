"""The content-addressed store on a folder of this machine."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Self

from modelhub.errors import ArtifactNotFound, IntegrityError, ModelHubError
from modelhub.facts import BlobRecord, BlobState, Snapshot, SnapshotFile, StoreCapabilities
from modelhub.refs import Digest, RepoPath, check_tree
from modelhub.store import layout
from modelhub.store.adopting import Adopter, AdoptMode, known_mode, split
from modelhub.store.base import Store, together
from modelhub.store.batch import LocalBatch
from modelhub.store.blobs import Blobs, Clock
from modelhub.store.exporting import Exporter
from modelhub.store.folders import Folders, root_of
from modelhub.store.fsops import ALONE, Check, FsOps, OnBytes, Watch, read_all
from modelhub.store.intake import ByteStream, Expected, receive
from modelhub.store.inventory import Inventory, Lying, lying_blobs, take_inventory
from modelhub.store.layout import LinkChoice
from modelhub.store.lending import Shelf, lend
from modelhub.store.levels import Level, known_level
from modelhub.store.options import PLAIN, StoreOptions
from modelhub.store.outgoing import Outgoing
from modelhub.store.parts import Parts, Unfinished, reserve, reserve_all, unfinished
from modelhub.store.ports import Batch, Ledger, Part
from modelhub.store.proof import host_id
from modelhub.store.publishing import Arrival, Publisher
from modelhub.store.reading import FileStream, Stream
from modelhub.store.rechecking import recheck
from modelhub.store.refusals import require_small
from modelhub.store.removal import discard_old, erase, remove_blob, remove_folder
from modelhub.store.sealing import Sealer
from modelhub.store.snapshots import Snapshots
from modelhub.store.sweeping import left_over, remove_parts, sweep
from modelhub.store.upkeep import DAY, WEEK

_log = logging.getLogger("modelhub.store")


class LocalStore(Store, schemes=("", "file")):
    """Blobs under a folder of this machine."""

    def __init__(
        self,
        folders: Folders,
        ledger: Ledger,
        *,
        clock: Clock,
        host: str,
        options: StoreOptions = PLAIN,
    ) -> None:
        self._folders = folders
        self._ops = folders.ops
        self._ledger = ledger
        self._clock = clock
        self._link_mode = options.link_mode
        self._blobs = Blobs(folders, ledger, clock, host)
        self._sealer = Sealer(folders, self._blobs, wanted=options.fs_verity)
        self._publisher = Publisher(folders, self._blobs)
        self._adopter = Adopter(folders, self._blobs, self._publisher)
        self._parts = Parts(folders, self._blobs, self._publisher)
        self._exporter = Exporter(folders, self._blobs)
        self._snapshots = Snapshots(folders, self._blobs)

    @classmethod
    def open(
        cls,
        place: str | os.PathLike[str],
        ledger: Ledger,
        *,
        ops: FsOps | None = None,
        clock: Clock = time.time_ns,
        host: str | None = None,
        options: StoreOptions = PLAIN,
    ) -> Self:
        folders = Folders(root_of(place), ops or FsOps())
        store = cls(folders, ledger, clock=clock, host=host or host_id(), options=options)
        try:
            store.require_link_mode(options.link_mode)
            store.sweep()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def root(self) -> Path:
        return self._folders.root

    @property
    def uri(self) -> str:
        return self.root.as_uri()

    @property
    def capabilities(self) -> StoreCapabilities:
        return self._snapshots.capabilities

    @property
    def link_mode(self) -> LinkChoice:
        return self._link_mode

    def require_link_mode(self, mode: LinkChoice) -> None:
        self._snapshots.require(mode)

    def free(self) -> int | None:
        return self._folders.free()

    def require_room(self, sizes: Mapping[str, int], what: str = "what is fetched") -> None:
        reserve_all(self._folders, sizes, what, self._blobs.host)

    def path(self, digest: Digest) -> Path:
        return self.root / layout.blob_path(digest)

    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        started = time.monotonic()
        watch = Watch.of(on_bytes, check)
        reserve(self._folders, expect.name, expect.size or 0)
        with self._publisher.temp(watch) as temp:
            received = receive(stream, temp.fd, expect, self._folders, watch)
            record = self._publisher.publish(Arrival(temp, received, expect.name, started), watch)
        return self._sealer.seal(record)

    def adopt(
        self,
        path: str | os.PathLike[str],
        expect: Expected | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        mode: AdoptMode = "auto",
        trusted: bool = False,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        known_mode(mode)
        above, name = split(path, root)
        wanted = expect or Expected(name=name)
        return self._adopter.adopt(above, name, wanted, mode, Watch.of(on_bytes, check), trusted=trusted)

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        batch = LocalBatch(self._folders, self._publisher)
        try:
            yield batch
        finally:
            batch.flush()
            self._sealer.seal_all(batch.records)

    def receive(
        self, expect: Expected, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> AbstractContextManager[Part]:
        return self._receive(expect, Watch.of(on_bytes, check))

    @contextmanager
    def _receive(self, expect: Expected, watch: Watch) -> Iterator[Part]:
        with self._parts.receive(expect, watch) as part:
            came = part.record is None
            yield part
        if came and part.record is not None:
            self._sealer.seal(part.record)

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        return self._blobs.find(digests)

    def known(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        wanted = frozenset(digests)
        remembered = frozenset(self._ledger.find(wanted))
        return remembered | {one for one in wanted - remembered if self._blobs.look(one) is not None}

    def read(self, digest: Digest, limit: int) -> bytes:
        with self._blobs.reading(digest) as fd, self._folders.errors("read", digest):
            size = self._ops.fstat(fd).st_size
            require_small(digest, size, limit)
            data = read_all(self._ops, fd)
        if Digest.of(data) != digest:
            self._blobs.vouch(digest, ALONE, rehash=True)
            raise self._blobs.busy(digest)
        return data

    @contextmanager
    def stream(
        self, digest: Digest, start: int, end: int, *, check: Check | None = None
    ) -> Iterator[Stream]:
        with self._blobs.reading(digest) as fd:
            yield FileStream(self._folders, fd, start, end, Watch.of(None, check).check)

    def lend(self, other: Store, digest: Digest, *, check: Check | None = None) -> bool:
        if not isinstance(other, LocalStore):
            return False
        return lend(self.shelf, other.shelf, digest, Watch.of(None, check))

    @property
    def shelf(self) -> Shelf:
        """For another store that is to have blobs of this one."""
        return Shelf(self._folders, self._blobs)

    def verify(
        self,
        digests: Iterable[Digest],
        level: Level = "proof",
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Mapping[Digest, BlobRecord]:
        known_level(level)
        wanted = tuple(dict.fromkeys(digests))
        known = self._ledger.find(wanted)
        good: dict[Digest, BlobRecord] = {}
        failures: list[ModelHubError] = []
        watch = Watch.of(on_bytes, check)
        for digest in wanted:
            record = known.get(digest)
            try:
                good[digest] = self._believed(record, level) or self._blobs.vouch(
                    digest, watch, rehash=level == "full"
                )
            except (IntegrityError, ArtifactNotFound) as error:
                failures.append(error)
        if failures:
            raise together(failures)
        return good

    def _believed(self, record: BlobRecord | None, level: Level) -> BlobRecord | None:
        """The record, when at this level nothing need be read for it."""
        if record is None or record.state is not BlobState.PRESENT or level == "full":
            return None
        return record if level == "off" or self._blobs.proven(record) else None

    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        return self._ledger.stale(before, limit)

    def recheck(
        self, digest: Digest, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> BlobRecord:
        return recheck(self._folders, self._blobs, digest, Watch.of(on_bytes, check))

    def link(
        self,
        vendor: str,
        name: str,
        commit: str,
        files: Mapping[RepoPath, Digest],
        *,
        level: Level = "proof",
        link_mode: LinkChoice | None = None,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Snapshot:
        mode = link_mode or self._link_mode
        self._snapshots.require(mode)
        folder = layout.snapshot_folder(vendor, name, commit)
        check_tree(files)
        records = self.verify(files.values(), level, on_bytes=on_bytes, check=check)
        sizes = {digest: record.size for digest, record in records.items()}
        watch = Watch.of(on_bytes, check)
        linked = self._snapshots.build(folder, files, sizes, watch, level, mode)
        return Snapshot(
            repo=f"{vendor}/{name}" if vendor else name,
            commit=commit,
            path=self.root / layout.SNAPSHOTS / folder,
            files=linked,
        )

    def export(
        self,
        folder: str | os.PathLike[str],
        files: Mapping[RepoPath, Digest],
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> tuple[SnapshotFile, ...]:
        check_tree(files)
        root = Path(folder).absolute()
        return self._exporter.export(root, files, Watch.of(on_bytes, check))

    def remove(self, digest: Digest, confirm: Callable[[], bool]) -> bool:
        if gone := remove_blob(self._folders, self._blobs, digest, confirm):
            remove_parts(self._folders, digest)
        return gone

    def evict(self, digest: Digest, confirm: Callable[[], bool]) -> bool:
        """`remove`, and its hard links in all snapshots with it: what was there is a copy of another store."""
        return remove_blob(self._folders, self._blobs, digest, confirm, links=True)

    def held(self) -> Mapping[Digest, Lying]:
        """All blobs of the folder, right or wrong, by a look at each."""
        with self._folders.errors("list", layout.BLOBS):
            return lying_blobs(self._folders, self._clock())

    @contextmanager
    def outgoing(self, digest: Digest, watch: Watch) -> Iterator[Outgoing]:
        """The blob, to be read once and sent elsewhere."""
        with self._blobs.reading(digest) as fd:
            yield Outgoing(self._ops, fd, digest, watch)

    def remove_snapshot(self, path: str) -> bool:
        return remove_folder(self._folders, RepoPath(path))

    def parts(self) -> tuple[Unfinished, ...]:
        return unfinished(self._folders, self._clock())

    def inventory(self) -> Inventory:
        with self._folders.errors("look through"):
            return take_inventory(self._folders, self._clock())

    def discard(self, path: str, *, older_than: float) -> bool:
        return discard_old(self._folders, RepoPath(path), self._clock() - int(older_than * 1e9))

    def sweep(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> int:
        now = self._clock()
        return sweep(self._folders, now - int(older_than * 1e9), now - int(parts_older_than * 1e9))

    def left_over(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> tuple[str, ...]:
        now = self._clock()
        return left_over(self._folders, now - int(older_than * 1e9), now - int(parts_older_than * 1e9))

    def erase(self) -> None:
        erase(self._folders)

    def close(self) -> None:
        self._folders.close()
