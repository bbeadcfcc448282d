"""A store whose truth is a bucket, with verified copies on this host."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from modelhub.errors import ArtifactNotFound, IntegrityError, ModelHubError
from modelhub.facts import BlobRecord, BlobState, Snapshot, SnapshotFile
from modelhub.refs import Digest, RepoPath
from modelhub.store.adopting import AdoptMode
from modelhub.store.base import together
from modelhub.store.blobs import Clock, unproven
from modelhub.store.fsops import Check, FsOps, OnBytes, Watch
from modelhub.store.intake import ByteStream, Expected
from modelhub.store.inventory import Inventory
from modelhub.store.layout import LinkChoice
from modelhub.store.ledger import FileLedger
from modelhub.store.levels import Level, known_level
from modelhub.store.local import LocalStore
from modelhub.store.options import PLAIN, StoreOptions
from modelhub.store.ports import Batch, Ledger, Part
from modelhub.store.remote.bucket import Bucket
from modelhub.store.remote.cache import Cache
from modelhub.store.remote.filling import fill
from modelhub.store.remote.host import OnHost
from modelhub.store.remote.leaving import Leaving
from modelhub.store.remote.opening import cache_folder, objects_at
from modelhub.store.remote.parts import RemotePart
from modelhub.store.remote.publishing import Publisher, RemoteBatch
from modelhub.store.upkeep import DAY, WEEK

_log = logging.getLogger("modelhub.store")

_ROUNDS = 4


class RemoteStore(Leaving, OnHost, schemes=("memory", "s3")):
    """Blobs in a bucket; each is used as a copy in `cache`, which a proof or a hash vouches for.

    `ledger` remembers what is in the bucket, for all hosts.
    """

    def __init__(
        self, bucket: Bucket, ledger: Ledger, cache: Cache, copies: FileLedger, clock: Clock
    ) -> None:
        self._bucket = bucket
        self._ledger = ledger
        self._cache = cache
        self._local = cache.store
        self._copies = copies
        self._clock = clock
        self._publisher = Publisher(bucket, ledger, cache, clock)

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
    ) -> "RemoteStore":
        uri, ops = os.fspath(place).rstrip("/"), ops or FsOps()
        bucket = Bucket(objects_at(uri, options.endpoint))
        folder = cache_folder(uri, options.cache)
        copies = FileLedger(folder / "copies.jsonl", ops=ops)
        local = LocalStore.open(folder, copies, ops=ops, clock=clock, host=host, options=options)
        cache = Cache(
            local,
            ops,
            clock,
            options.cache_bytes,
            options.leased,
            lambda digest: bucket.look(digest) is not None,
        )
        return cls(bucket, ledger, cache, copies, clock)

    @property
    def uri(self) -> str:
        return self._bucket.uri

    def probe(self) -> str:
        return f"{self._bucket.probe()}; {self.root} can be written"

    def require_room(self, sizes: Mapping[str, int], what: str = "what is fetched") -> None:
        self._cache.make_room(sum(sizes.values()))
        self._local.require_room(sizes, what)

    # In

    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        if expect.size is not None:
            self._cache.make_room(expect.size)
        with self._cache.arriving(expect.sha256):
            record = self._local.put(stream, expect=expect, on_bytes=on_bytes, check=check)
            return self._publish(record, check)

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
        if expect is not None and expect.size is not None:
            self._cache.make_room(expect.size)
        with self._cache.arriving(None if expect is None else expect.sha256):
            record = self._local.adopt(
                path, expect, root=root, mode=mode, trusted=trusted, on_bytes=on_bytes, check=check
            )
            return self._publish(record, check)

    @contextmanager
    def _receive(self, expect: Expected, watch: Watch) -> Iterator[Part]:
        if expect.size is not None:
            self._cache.make_room(expect.size)
        with (
            self._cache.arriving(expect.sha256),
            self._local.receive(expect, on_bytes=watch.on_bytes, check=watch.check) as part,
        ):
            yield RemotePart(part, self._publish)

    def receive(
        self, expect: Expected, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> AbstractContextManager[Part]:
        return self._receive(expect, Watch.of(on_bytes, check))

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        batch: RemoteBatch | None = None
        with self._cache.arriving(None):
            try:
                with self._local.batch() as inner:
                    batch = RemoteBatch(inner, self._publisher)
                    yield batch
            finally:
                if batch is not None:
                    batch.end()

    def _publish(self, record: BlobRecord, check: Check | None) -> BlobRecord:
        self._publisher.publish([record], Watch.of(None, check))
        return record

    def _note(self, digest: Digest, size: int, state: BlobState) -> None:
        self._publisher.note([unproven(digest, size)], state)

    # What is here

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        wanted = tuple(dict.fromkeys(digests))
        here = dict(self._local.find(wanted))
        if rest := [digest for digest in wanted if digest not in here]:
            here |= self._publisher.find(rest)
        return {digest: here[digest] for digest in wanted if digest in here}

    def known(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        wanted = frozenset(digests)
        found = self._local.known(wanted) | frozenset(self._ledger.find(wanted))
        return found | frozenset(self._bucket.looks(wanted - found))

    def read(self, digest: Digest, limit: int) -> bytes:
        if not self._local.find([digest]):
            self._bucket.require_small(digest, limit)
        for _ in range(_ROUNDS):
            with self._cache.pinned([digest]):
                self._bring([digest], Watch())
                try:
                    return self._local.read(digest, limit)
                except (ArtifactNotFound, IntegrityError):
                    continue  # the copy was wrong, or went: the bucket has another
        raise self._bucket.busy(digest)

    def verify(
        self,
        digests: Iterable[Digest],
        level: Level = "proof",
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Mapping[Digest, BlobRecord]:
        known_level(level)
        watch = Watch.of(on_bytes, check)
        wanted = tuple(dict.fromkeys(digests))
        good: dict[Digest, BlobRecord] = {}
        failures: list[ModelHubError] = []
        believed = self._believed(wanted) if level == "off" else {}
        for digest in wanted:
            try:
                good[digest] = believed.get(digest) or self._vouch(digest, level, watch)
            except (IntegrityError, ArtifactNotFound) as error:
                failures.append(error)
        if failures:
            raise together(failures)
        return good

    def _believed(self, digests: Sequence[Digest]) -> Mapping[Digest, BlobRecord]:
        found = self._ledger.find(digests).items()
        return {key: one for key, one in found if one.state is BlobState.PRESENT}

    def _vouch(self, digest: Digest, level: Level, watch: Watch) -> BlobRecord:
        """The record of a blob that is right: its copy, and at `full` what the bucket has too."""
        with self._cache.pinned([digest]):
            copy = self._good_copy(digest, level, watch)
            if copy is None:
                return self._fetch(digest, watch)
            if level == "full":
                self._check_bucket(copy, watch)
            return copy

    def _good_copy(self, digest: Digest, level: Level, watch: Watch) -> BlobRecord | None:
        """The copy's record; `None` when there is none, or none that is right."""
        if not self._local.find([digest]):
            return None
        try:
            good = self._local.verify([digest], level, on_bytes=watch.on_bytes, check=watch.check)
            return good[digest]
        except (IntegrityError, ArtifactNotFound):
            return None  # it is in quarantine, and the bucket has another

    def _check_bucket(self, copy: BlobRecord, watch: Watch) -> None:
        """Read what the bucket has; a right copy replaces what is wrong or gone there."""
        try:
            self._bucket.check(copy.digest, watch)
        except (IntegrityError, ArtifactNotFound):
            self._publish(copy, watch.check)
            _log.warning("bucket_repaired", extra={"hash": copy.digest})

    def _fetch(self, digest: Digest, watch: Watch) -> BlobRecord:
        """Copy a blob from the bucket.

        Raises:
            ArtifactNotFound: it is not there.
            IntegrityError: it held other bytes, and is in quarantine now.
        """
        size = self._bucket.look(digest)
        if size is None:
            if self._ledger.find([digest]):
                self._note(digest, 0, BlobState.MISSING)
            raise self._bucket.absent(digest)
        self._cache.make_room(size)
        for _ in range(_ROUNDS):
            try:
                record = fill(
                    self._local, digest, size, lambda a, b: self._bucket.read(digest, a, b), watch
                )
            except IntegrityError:
                # What an earlier try left may have been wrong; what the bucket has is read alone.
                self._check_or_note(digest, size, watch)
                continue
            if not self._ledger.find([digest]):
                self._note(digest, size, BlobState.PRESENT)
            return record
        raise self._bucket.busy(digest)

    def _check_or_note(self, digest: Digest, size: int, watch: Watch) -> None:
        try:
            self._bucket.check(digest, watch)
        except IntegrityError:
            self._note(digest, size, BlobState.QUARANTINED)
            raise

    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        return self._local.stale(before, limit)

    def recheck(
        self, digest: Digest, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> BlobRecord:
        return self._local.recheck(digest, on_bytes=on_bytes, check=check)

    # Folders

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
        watch = Watch.of(on_bytes, check)
        wanted = tuple(dict.fromkeys(files.values()))
        with self._cache.pinned(wanted):
            for _ in range(_ROUNDS):
                self._bring(wanted, watch)
                try:
                    self._publisher.complete(wanted, watch)
                    return self._local.link(
                        vendor,
                        name,
                        commit,
                        files,
                        level=level,
                        link_mode=link_mode,
                        on_bytes=on_bytes,
                        check=check,
                    )
                except (ArtifactNotFound, IntegrityError):
                    continue  # a copy was wrong, or another process let it go: the bucket has one
        raise self._bucket.busy(wanted[0])

    def export(
        self,
        folder: str | os.PathLike[str],
        files: Mapping[RepoPath, Digest],
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> tuple[SnapshotFile, ...]:
        wanted = tuple(dict.fromkeys(files.values()))
        with self._cache.pinned(wanted):
            self.verify(wanted, on_bytes=on_bytes, check=check)
            return self._local.export(folder, files, on_bytes=on_bytes, check=check)

    def _bring(self, digests: Sequence[Digest], watch: Watch) -> None:
        """Copy what is not in the cache."""
        failures: list[ModelHubError] = []
        here = self._local.find(digests)
        for digest in digests:
            if digest in here:
                continue
            try:
                self._fetch(digest, watch)
            except (IntegrityError, ArtifactNotFound) as error:
                failures.append(error)
        if failures:
            raise together(failures)

    # Out

    def remove(self, digest: Digest, confirm: Callable[[], bool]) -> bool:
        gone = self._local.remove(digest, lambda: self._remove(digest, confirm))
        if gone:
            self._cache.forget(digest)
        return gone

    def _remove(self, digest: Digest, confirm: Callable[[], bool]) -> bool:
        """Delete the object. Who recorded it meanwhile keeps it: their host has the bytes.

        So does who stores it on this host: the copy is held here, and they have not come to record it.
        """
        if self._cache.expects(digest) or not confirm():
            return False
        size = self._bucket.look(digest)
        self._bucket.remove(digest)
        if confirm():
            return True
        if size is not None and self._bucket.look(digest) is None:
            self._note(digest, size, BlobState.MISSING)
        return False

    def inventory(self) -> Inventory:
        """The bucket's blobs, and its quarantine with this host's; all else is what lies on this host."""
        now, here = self._ago(0), self._local.inventory()
        aside = (*here.quarantine, *self._bucket.quarantined(now))
        return replace(here, blobs=self._bucket.lying(now), quarantine=aside)

    def discard(self, path: str, *, older_than: float) -> bool:
        """As everywhere; an object of the bucket's quarantine has such a path too."""
        here = self._local.discard(path, older_than=older_than)
        return here or self._bucket.discard(path, self._ago(older_than))

    def _ago(self, seconds: float) -> datetime:
        return datetime.fromtimestamp(self._clock() / 1e9 - seconds, UTC)

    def sweep(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> int:
        """As everywhere; uploads below the prefix that never ended are given up too."""
        swept = self._local.sweep(older_than, parts_older_than=parts_older_than)
        return swept + self._bucket.abort_stale(self._ago(older_than))

    def close(self) -> None:
        self._local.close()
        self._copies.close()
        self._bucket.objects.close()
