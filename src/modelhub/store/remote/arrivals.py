"""Blobs that are being stored on this host, so that a removal leaves them: known to all its processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modelhub.refs import Digest
from modelhub.store.fsops import NO_LOCKS, FsOps, opened

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW


class Arrivals:
    """Shared locks on a file that has a byte for each digest; who dies lets go of them.

    A blob is stored in two steps, into the cache and from there into the bucket, and no lock on its file can
    span both. On a file system without such locks nothing is held, and a put may say `ArtifactNotFound`.
    """

    def __init__(self, ops: FsOps, path: Path) -> None:
        self._ops = ops
        self._path = str(path)

    @contextmanager
    def coming(self, digest: Digest | None) -> Iterator[None]:
        """It is being stored until the end; without a digest, it may be any."""
        start, length = (0, 0) if digest is None else (_byte(digest), 1)
        with opened(self._ops, self._path, _FLAGS, 0o644) as fd:
            try:
                self._ops.share(fd, start, length)
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
            yield

    def expects(self, digest: Digest) -> bool:
        """Whether somebody is storing it just now."""
        with opened(self._ops, self._path, _FLAGS, 0o644) as fd:
            try:
                return self._ops.is_shared(fd, _byte(digest))
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                return False


def _byte(digest: Digest) -> int:
    return int(digest[:15], 16)
