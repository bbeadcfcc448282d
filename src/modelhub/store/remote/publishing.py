"""From the cache to the bucket, and then into the ledger: in this order."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from modelhub.errors import ArtifactNotFound
from modelhub.facts import BlobRecord, BlobState
from modelhub.refs import Digest
from modelhub.store.blobs import Clock, unproven
from modelhub.store.fsops import Check, OnBytes, Watch
from modelhub.store.intake import ByteStream, Expected
from modelhub.store.ports import Batch, Ledger
from modelhub.store.remote.bucket import Bucket
from modelhub.store.remote.cache import Cache

_ROUNDS = 4
_AT_ONCE = 8


class Publisher:
    """Lets the bucket have what the cache has."""

    def __init__(self, bucket: Bucket, ledger: Ledger, cache: Cache, clock: Clock) -> None:
        self._bucket = bucket
        self._ledger = ledger
        self._cache = cache
        self._clock = clock

    def find(self, digests: Sequence[Digest]) -> dict[Digest, BlobRecord]:
        """Those that are in the bucket; the ledger learns what came or went."""
        known = self._ledger.find(digests)
        sizes = self._bucket.looks(digests)
        here: dict[Digest, BlobRecord] = {}
        news: list[BlobRecord] = []
        for digest in digests:
            record = known.get(digest)
            state = BlobState.PRESENT if digest in sizes else BlobState.MISSING
            if record is not None and record.state is not state:
                record = record.model_copy(update={"state": state})
                news.append(record)
            if digest in sizes:
                here[digest] = record or unproven(digest, sizes[digest])
        if news:
            self._ledger.record(news)
        return here

    def publish(self, records: Sequence[BlobRecord], watch: Watch) -> None:
        """Send copies that are vouched for; then, and only then, the ledger says that the bucket has them.

        Raises:
            IntegrityError: a copy changed since.
            StoreUnavailable, StoreFull, AccessDenied
        """
        pending = list(records)
        if not pending:
            return
        with self._cache.pinned(record.digest for record in records):
            for _ in range(_ROUNDS):
                self._send(pending, watch)
                self.note(pending, BlobState.PRESENT)
                # A purge that did not know of this yet deletes before it sees the record, or not at all.
                there = self._bucket.looks(record.digest for record in pending)
                pending = [record for record in pending if there.get(record.digest) != record.size]
                if not pending:
                    return
                self.note(pending, BlobState.MISSING)
        raise self._bucket.busy(pending[0].digest)

    def complete(self, digests: Sequence[Digest], watch: Watch) -> None:
        """Let the bucket have what only the cache has: a put that was cut short."""
        recorded = self._ledger.find(digests)
        unsure = [
            digest
            for digest in digests
            if (known := recorded.get(digest)) is None or known.state is not BlobState.PRESENT
        ]
        copies, there = self._cache.store.find(unsure), self._bucket.looks(unsure)
        lacking = [digest for digest, copy in copies.items() if there.get(digest) != copy.size]
        noted = [copy for digest, copy in copies.items() if digest not in lacking]
        if noted:
            self.note(noted, BlobState.PRESENT)
        self.publish(list(self._cache.store.verify(lacking).values()), watch)

    def _send(self, records: Sequence[BlobRecord], watch: Watch) -> None:
        def one(record: BlobRecord) -> None:
            try:
                with self._cache.store.outgoing(record.digest, watch) as data:
                    self._bucket.upload(data, watch)
            except ArtifactNotFound:
                # The cache let go of an old copy that was met, since the bucket had it: if it has it still.
                self._bucket.check(record.digest, watch)

        if len(records) == 1:
            one(records[0])  # its parts go side by side
            return
        with ThreadPoolExecutor(_AT_ONCE, "modelhub-publish") as pool:
            list(pool.map(one, records))

    def note(self, records: Iterable[BlobRecord], state: BlobState) -> None:
        """Record what is in the bucket. Proofs are the cache's."""
        now = datetime.fromtimestamp(self._clock() / 1e9, UTC)
        news = {"state": state, "proof": None, "verified_at": now}
        self._ledger.record([record.model_copy(update=news) for record in records])


class RemoteBatch:
    """A batch of the cache, whose blobs go to the bucket at its end (see `ports.Batch`)."""

    def __init__(self, batch: Batch, publisher: Publisher) -> None:
        self._batch = batch
        self._publisher = publisher
        self._records: dict[Digest, BlobRecord] = {}

    @property
    def records(self) -> Mapping[Digest, BlobRecord]:
        return dict(self._records)

    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Digest:
        return self._batch.put(stream, expect=expect, on_bytes=on_bytes, check=check)

    def end(self) -> None:
        """Publish what became a blob of the cache."""
        records = dict(self._batch.records)
        self._publisher.publish(list(records.values()), Watch())
        self._records = records
