"""A host's verified copies of what a bucket has: a store on a folder, kept to a size by last use."""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from modelhub.refs import Digest
from modelhub.store.blobs import Clock
from modelhub.store.fsops import FsOps, discard, make_folders, opened
from modelhub.store.local import LocalStore
from modelhub.store.remote.arrivals import Arrivals

_log = logging.getLogger("modelhub.store")

USED = "used"
ARRIVALS = ".arrivals"
FRESH = 900
"""Seconds for which what was linked or filled stays, so that a load can take its lease."""
LOST = 86_400
"""Seconds after which a copy of what the bucket has no more may go: somebody has purged it there."""
_SECOND = 1_000_000_000
_MARK = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW


class Cache:
    """Keeps `store` below `limit` bytes of blobs.

    `leased()` gives the digests that stay, whatever they take; `elsewhere(digest)` says whether a blob
    is in the bucket, since the only copy stays too. A blob's last use is the modification
    time of an empty file, `used/<hex>`: a file's own times are its proof. `clock` gives
    nanoseconds since 1970.
    """

    def __init__(
        self,
        store: LocalStore,
        ops: FsOps,
        clock: Clock,
        limit: int | None,
        leased: Callable[[], Collection[Digest]],
        elsewhere: Callable[[Digest], bool],
    ) -> None:
        self.store = store
        self._ops = ops
        self._clock = clock
        self._limit = limit
        self._leased = leased
        self._elsewhere = elsewhere
        self._pins: dict[Digest, int] = {}
        self._mutex = threading.Lock()
        make_folders(ops, self._marks)
        self._arrivals = Arrivals(ops, self._marks / ARRIVALS)

    @property
    def _marks(self) -> Path:
        return self.store.root / USED

    @contextmanager
    def pinned(self, digests: Iterable[Digest]) -> Iterator[None]:
        """They are in use by this process until the end, and count as used just now."""
        mine = frozenset(digests)
        with self._mutex:
            for digest in mine:
                self._pins[digest] = self._pins.get(digest, 0) + 1
        try:
            for digest in mine:
                self._touch(digest)
            yield
        finally:
            with self._mutex:
                for digest in mine:
                    self._pins[digest] -= 1
                    if not self._pins[digest]:
                        del self._pins[digest]

    @contextmanager
    def arriving(self, digest: Digest | None) -> Iterator[None]:
        """It is being stored until the end, and `expects` says so in all processes of this host. Of what has no
        digest yet nobody knows which it is: then all are expected.
        """
        with self._arrivals.coming(digest), self.pinned([] if digest is None else [digest]):
            yield

    def expects(self, digest: Digest) -> bool:
        """Whether it is being stored on this host, so that it must stay."""
        return self._arrivals.expects(digest)

    def _touch(self, digest: Digest) -> None:
        now = self._clock()
        with opened(self._ops, str(self._marks / digest), _MARK, 0o644) as fd:
            self._ops.futime(fd, now, now)

    def _used(self, digest: Digest) -> int:
        """When it was; of what nobody has used, when it came."""
        for path, mark in ((self._marks / digest, True), (self.store.path(digest), False)):
            try:
                look = self._ops.lstat(str(path))
            except FileNotFoundError:
                continue
            return look.st_mtime_ns if mark else look.st_ctime_ns
        return 0

    def make_room(self, need: int) -> int:
        """Let go of what was used least lately, until `need` more bytes fit: how many went.

        What may not go stays, also when it takes more than the limit.
        """
        over = self._lacking(need)
        if self._limit is None and over <= 0:
            return 0  # nobody need look at all the blobs
        held = {digest: one.size for digest, one in self.store.held().items()}
        if self._limit is not None:
            over = max(over, sum(held.values()) + need - self._limit)
        if over <= 0:
            return 0
        gone, busy = 0, set(self._leased())
        for digest in sorted(held, key=self._used):
            if gone >= over:
                break
            if digest not in busy and self._evict(digest):
                gone += held[digest]
        if gone < over:
            _log.warning("cache_over_limit", extra={"bytes": over - gone, "limit": self._limit})
        return gone

    def _lacking(self, need: int) -> int:
        """Bytes that the disk has too few of; negative when there is room."""
        free = self.store.free()
        return 0 if free is None else need - free

    def _evict(self, digest: Digest) -> bool:
        """Take a blob out of the folder, and its links out of all snapshots."""
        if not self._may_go(digest) or not (self._elsewhere(digest) or self._idle(digest, LOST)):
            return False
        if not self.store.evict(digest, lambda: self._may_go(digest)):
            return False
        discard(self._ops, str(self._marks / digest))
        _log.info("cache_evicted", extra={"hash": digest})
        return True

    def _may_go(self, digest: Digest) -> bool:
        with self._mutex:
            if digest in self._pins:
                return False
        return self._idle(digest, FRESH)

    def _idle(self, digest: Digest, seconds: int) -> bool:
        return self._clock() - self._used(digest) > seconds * _SECOND

    def forget(self, digest: Digest) -> None:
        """The blob is gone for good."""
        discard(self._ops, str(self._marks / digest))
