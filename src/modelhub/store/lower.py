"""Stores below a store: a folder on a NAS, a shared bucket. They are only read.

What comes from one is hashed on its way, whatever it was there. No hard link is made of a lower file:
that would change its inode (its names, its times), and so the proofs that its own store has of it.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from modelhub.errors import (
    AccessDenied,
    DeadlineExceeded,
    InvalidInput,
    ModelHubError,
    StoreUnavailable,
    UnsafePath,
)
from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.base import Store, scheme_of
from modelhub.store.folders import root_of
from modelhub.store.fsops import FOLDER, FsOps, Watch, opened
from modelhub.store.intake import Expected
from modelhub.store.ports import Below
from modelhub.store.remote.bucket import Bucket
from modelhub.store.remote.filling import fill
from modelhub.store.remote.opening import objects_at

_PAUSE = 60.0
"""Seconds for which a lower store that did not answer is not asked."""


class LowerUnreadableError(Exception):
    """A lower store, or a blob in it, could not be read: the next may have it."""


class Lower(Below, Protocol):
    """A store that is only read."""

    def looks(self, digests: Sequence[Digest]) -> Mapping[Digest, int]:
        """The sizes of those that it has, in bytes.

        Raises:
            LowerUnreadableError
        """
        ...

    def give(self, digest: Digest, size: int, upper: Store, watch: Watch) -> None:
        """Let `upper` have a blob.

        Raises:
            LowerUnreadableError
            IntegrityError: it holds other bytes; `upper` kept nothing under the digest.
            StoreFull, StoreUnavailable: `upper` cannot take it.
        """
        ...

    def close(self) -> None:
        """Give back connections."""
        ...


class LowerFolder:
    """The folder of another store, perhaps on a read-only mount."""

    def __init__(self, uri: str, ops: FsOps) -> None:
        self._root = root_of(uri)
        self._ops = ops

    @property
    def uri(self) -> str:
        return self._root.as_uri()

    def probe(self) -> str:
        top = self._root / layout.BLOBS
        try:
            with opened(self._ops, str(top), FOLDER) as fd:
                self._ops.listdir(fd)
        except OSError as error:
            reason = f"its blobs cannot be read: {error.strerror}"
            raise StoreUnavailable(
                f"the lower store {self.uri} cannot be used: {reason}",
                hint="Mount it, or leave it out of store_lower.",
                store=self.uri,
                reason=reason,
            ) from error
        return f"{self._root} can be read"

    def looks(self, digests: Sequence[Digest]) -> Mapping[Digest, int]:
        found: dict[Digest, int] = {}
        try:
            with opened(self._ops, str(self._root), FOLDER) as root:
                for digest in digests:
                    if (size := self._size(digest, root)) is not None:
                        found[digest] = size
        except OSError as error:
            raise LowerUnreadableError(str(error)) from error
        return found

    def _size(self, digest: Digest, root: int) -> int | None:
        try:
            return self._ops.lstat(layout.blob_path(digest), dir_fd=root).st_size
        except FileNotFoundError:
            return None

    def give(self, digest: Digest, size: int, upper: Store, watch: Watch) -> None:
        path = layout.blob_path(digest)
        expect = Expected(sha256=digest, size=size, name=path)
        try:
            # Its snapshots link its blobs, so these have several names. What is wrong shows as they are hashed.
            upper.adopt(
                path, expect, root=self._root, trusted=True, on_bytes=watch.on_bytes, check=watch.check
            )
        except DeadlineExceeded:  # an OSError too, which says nothing of the blob
            raise
        except (OSError, UnsafePath, InvalidInput, AccessDenied) as error:
            raise LowerUnreadableError(str(error)) from error

    def close(self) -> None:
        """Nothing is held open."""


class LowerBucket:
    """A bucket that others fill."""

    def __init__(self, uri: str, endpoint: str | None) -> None:
        self._bucket = Bucket(objects_at(uri, endpoint))

    @property
    def uri(self) -> str:
        return self._bucket.uri

    def probe(self) -> str:
        return self._bucket.probe()

    def looks(self, digests: Sequence[Digest]) -> Mapping[Digest, int]:
        try:
            return self._bucket.looks(digests)
        except (StoreUnavailable, AccessDenied) as error:
            raise LowerUnreadableError(error.message) from error

    def give(self, digest: Digest, size: int, upper: Store, watch: Watch) -> None:
        def read(start: int, end: int) -> bytes:
            try:
                return self._bucket.read(digest, start, end)
            except ModelHubError as error:
                raise LowerUnreadableError(error.message) from error

        fill(upper, digest, size, read, watch)

    def close(self) -> None:
        self._bucket.objects.close()


class Pauses:
    """Which lower stores did not answer lately."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def pause(self, lower: Lower) -> None:
        """Leave it alone for a while."""
        self._until[lower.uri] = time.monotonic() + _PAUSE

    def awake(self, lowers: Iterable[Lower]) -> list[Lower]:
        """Those that may be asked."""
        now = time.monotonic()
        return [lower for lower in lowers if self._until.get(lower.uri, now) <= now]


def lower_at(uri: str, endpoint: str | None = None, ops: FsOps | None = None) -> Lower:
    """The lower store at a URI or folder; nothing is asked yet.

    Raises:
        StoreUnavailable: another scheme, or a URI that names nothing.
    """
    match scheme_of(uri):
        case "" | "file":
            return LowerFolder(uri, ops or FsOps())
        case "s3" | "memory":
            return LowerBucket(uri.rstrip("/"), endpoint)
        case scheme:
            reason = f"it is on {scheme}://"
            raise StoreUnavailable(
                f"the lower store {uri!r} cannot be used: {reason}",
                hint="These work: file:///folder, s3://bucket/prefix.",
                store=uri,
                reason=reason,
            )
