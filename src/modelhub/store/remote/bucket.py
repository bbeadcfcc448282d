"""The blobs in a bucket: what is there, up, down, aside."""

import hashlib
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from uuid import uuid4

from modelhub.errors import ArtifactNotFound, IntegrityError, StoreUnavailable
from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.fsops import Check, Watch
from modelhub.store.inventory import Lying
from modelhub.store.outgoing import Outgoing
from modelhub.store.refusals import other_bytes, require_small
from modelhub.store.remote.objects import Objects, Seen, Stored

_log = logging.getLogger("modelhub.store")

RANGE = 8 << 20
"""Bytes of one request of a download."""
_AT_ONCE = 4
_LOOKS = 16
_ROUNDS = 4


class Bucket:
    """Blobs as objects, `blobs/sha256/ab/<hex>` below a prefix. Nothing of it is remembered here."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects

    @property
    def uri(self) -> str:
        return self.objects.uri

    def look(self, digest: Digest) -> int | None:
        """The size of a blob's object; `None` when there is none."""
        seen = self.seen(digest)
        return None if seen is None else seen.size

    def seen(self, digest: Digest) -> Seen | None:
        """How a blob's object looks; `None` when there is none."""
        key = layout.blob_path(digest)
        return self.objects.attempt("look at a blob", lambda: self.objects.look(key))

    def looks(self, digests: Iterable[Digest]) -> Mapping[Digest, int]:
        """The sizes of those that are there, looked at side by side."""
        wanted = tuple(dict.fromkeys(digests))
        if len(wanted) < 2:
            sizes = list(map(self.look, wanted))
        else:
            with ThreadPoolExecutor(min(_LOOKS, len(wanted)), "modelhub-look") as pool:
                sizes = list(pool.map(self.look, wanted))
        return {digest: size for digest, size in zip(wanted, sizes, strict=True) if size is not None}

    def probe(self) -> str:
        """What answers."""
        return self.objects.attempt("list its objects", self.objects.probe)

    # Up

    def upload(self, data: Outgoing, watch: Watch) -> None:
        """Make the blob's object. One that is there already is read, unless its tag says that it was made of
        these bytes, and replaced when it is wrong.

        Raises:
            IntegrityError: `data` is not what it should be.
            StoreUnavailable, StoreFull, AccessDenied
        """
        key = layout.blob_path(data.digest)
        for _ in range(_ROUNDS):
            if self._made_of(data):
                return
            if self.objects.attempt("take a blob", lambda: self.objects.create(key, data)):
                return
            try:
                self.check(data.digest, watch)
            except (ArtifactNotFound, IntegrityError):
                continue  # it went, or was wrong and is in quarantine: the key is free
            else:
                return
        raise self.busy(data.digest)

    def _made_of(self, data: Outgoing) -> bool:
        """Whether the object that is there has the size and the tag that an upload of `data` would have.

        That is enough for not reading it: the tag is a checksum of what the server took, so neither a wrong
        object nor one of another size passes by accident. Nobody trusts it further: whoever brings
        the blob to a host hashes it there, and `verify` at `full` reads it whole. Where tags are no
        checksums (the server encrypts, or others sent it in other parts) it differs, and it is read.
        """
        seen = self.seen(data.digest)
        return seen is not None and seen.size == data.size and seen.tag == self.objects.tag_of(data)

    # Down

    @contextmanager
    def opened(
        self, digest: Digest, check: Check, start: int = 0, end: int | None = None
    ) -> Iterator["Incoming"]:
        """The blob's bytes as a stream: from `start` to before `end`, else to its own end.

        Raises:
            ArtifactNotFound: there is no such blob.
        """
        size = self.look(digest)
        if size is None:
            raise self.absent(digest)
        with ThreadPoolExecutor(_AT_ONCE, "modelhub-fill") as pool:
            span = (start, size if end is None else min(end, size))
            stream = Incoming(self, digest, span, pool, check)
            try:
                yield stream
            finally:
                stream.stop()

    def require_small(self, digest: Digest, limit: int) -> None:
        """Refuse a blob of more than `limit` bytes.

        Raises:
            InvalidInput
            ArtifactNotFound: there is no such blob.
        """
        size = self.look(digest)
        if size is None:
            raise self.absent(digest)
        require_small(digest, size, limit)

    def read(self, digest: Digest, start: int, end: int) -> bytes:
        """The bytes from `start` to before `end`.

        Raises:
            ArtifactNotFound: it went meanwhile.
        """
        key = layout.blob_path(digest)

        def whole() -> bytes:
            data = self.objects.read(key, start, end)
            if len(data) != end - start:
                raise ConnectionResetError(f"{len(data)} bytes came of {end - start}")
            return data

        try:
            return self.objects.attempt("give a blob's bytes", whole)
        except FileNotFoundError:
            raise self.absent(digest) from None

    def check(self, digest: Digest, watch: Watch) -> int:
        """Read the whole blob and hash it: its size.

        Raises:
            ArtifactNotFound: there is no such blob.
            IntegrityError: it held other bytes, and is in quarantine now.
        """
        for _ in range(_ROUNDS):
            before = self.seen(digest)
            size, actual = self._hashed(digest, watch)
            if actual == digest:
                return size
            # What was read may be gone already, and a right object sent in its place: that one stays.
            if before is not None and self.seen(digest) in (before, None):
                self.set_aside(digest, actual, before.tag)
        raise self.busy(digest)

    def _hashed(self, digest: Digest, watch: Watch) -> tuple[int, str]:
        sha, buffer = hashlib.sha256(), memoryview(bytearray(1 << 20))
        with self.opened(digest, watch.check) as stream:
            while count := stream.readinto(buffer):
                sha.update(buffer[:count])
                watch.on_bytes(count)
        return stream.size, sha.hexdigest()

    # Aside and away

    def set_aside(self, digest: Digest, actual: str, tag: str) -> None:
        """Move the object with this tag, that has other bytes, to `quarantine`, and say so.

        Raises:
            IntegrityError
        """
        key, kept = layout.blob_path(digest), f"{layout.QUARANTINE}/{digest}.{uuid4().hex}"
        try:
            self.objects.attempt("set a blob aside", lambda: self.objects.copy(key, kept))
        except FileNotFoundError:
            kept = "nowhere: it was gone"
        else:
            self.objects.attempt("set a blob aside", lambda: self.objects.remove_seen(key, tag))
        path = f"{self.uri}/{key}"
        fields = {"hash": digest, "file_path": path, "actual": actual, "quarantine_path": kept}
        _log.error("artifact_quarantined", extra=fields)
        raise other_bytes(digest, actual, kept, path)

    def remove(self, digest: Digest) -> None:
        """Delete the blob's object, if it is there."""
        key = layout.blob_path(digest)
        self.objects.attempt("delete a blob", lambda: self.objects.remove(key))

    def remove_below(self, prefix: str) -> None:
        """Delete every object whose key begins so."""
        found = self.objects.attempt("list it", lambda: list(self.objects.listed(prefix)))
        for key, _, _ in found:
            self.objects.attempt("delete an object", partial(self.objects.remove, key))

    def lying(self, now: datetime) -> dict[Digest, Lying]:
        """All blobs, looked through; what is called otherwise is none of ours."""
        top = f"{layout.BLOBS}/"
        listed = self.objects.attempt("list its blobs", lambda: list(self.objects.listed(top)))
        found: dict[Digest, Lying] = {}
        for key, size, changed in listed:
            name = key.rpartition("/")[2]
            digest = layout.digest_of(name)
            if digest and key == layout.blob_path(digest):
                found[digest] = Lying(key, size, size, _age(changed, now))
        return found

    def quarantined(self, now: datetime) -> tuple[Lying, ...]:
        """What was set aside."""
        return tuple(Lying(key, size, size, _age(changed, now)) for key, size, changed in self._aside())

    def discard(self, key: str, before: datetime) -> bool:
        """Delete what was set aside before; whether it was there."""
        found = any(each.key == key and each.changed <= before for each in self._aside())
        if found:
            self.objects.attempt("delete an object", lambda: self.objects.remove(key))
        return found

    def _aside(self) -> list[Stored]:
        top = f"{layout.QUARANTINE}/"
        return self.objects.attempt("list its quarantine", lambda: list(self.objects.listed(top)))

    def abort_stale(self, before: datetime) -> int:
        """Give up uploads that began before, and never ended: how many."""
        return self.objects.attempt("list its uploads", lambda: self.objects.abort_stale(before))

    def absent(self, digest: Digest) -> ArtifactNotFound:
        """The error for a blob that is not there."""
        return ArtifactNotFound(
            f"the store {self.uri} has no blob {digest}",
            hint="Pull the model again; what is missing is fetched.",
            digests=[digest],
        )

    def busy(self, digest: Digest) -> StoreUnavailable:
        """The error for a blob that does not stand still."""
        return StoreUnavailable(
            f"the blob {digest} in {self.uri} keeps changing",
            hint="Something else writes below the store's prefix; let modelhub alone do that.",
        )


def _age(changed: datetime, now: datetime) -> float:
    return max(0.0, (now - changed).total_seconds())


class Incoming:
    """A blob as a stream: a few ranges ahead are on their way at once."""

    def __init__(
        self,
        bucket: Bucket,
        digest: Digest,
        span: tuple[int, int],
        pool: ThreadPoolExecutor,
        check: Check,
    ) -> None:
        self._asked, self.size = span
        self._bucket = bucket
        self._digest = digest
        self._pool = pool
        self._check = check
        self._coming: deque[Future[bytes]] = deque()
        self._here = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill `buffer` from the left: how many bytes, 0 at the end."""
        if not self._here:
            self._check()
            self._ask()
            if not self._coming:
                return 0
            self._here = memoryview(self._coming.popleft().result())
        count = min(len(buffer), len(self._here))
        buffer[:count] = self._here[:count]
        self._here = self._here[count:]
        return count

    def _ask(self) -> None:
        while len(self._coming) < _AT_ONCE and self._asked < self.size:
            start, end = self._asked, min(self.size, self._asked + RANGE)
            self._coming.append(self._pool.submit(self._bucket.read, self._digest, start, end))
            self._asked = end

    def stop(self) -> None:
        """Ask for no more."""
        for each in self._coming:
            each.cancel()
