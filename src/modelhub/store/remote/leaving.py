"""What a remote store gives to another, and how it ends."""

from abc import ABC
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.base import Store
from modelhub.store.fsops import Check, Watch
from modelhub.store.local import LocalStore
from modelhub.store.reading import Stream
from modelhub.store.remote.bucket import Bucket


class Leaving(Store, ABC):
    """A store whose blobs go elsewhere."""

    _bucket: Bucket
    _local: LocalStore

    @contextmanager
    def stream(
        self, digest: Digest, start: int, end: int, *, check: Check | None = None
    ) -> Iterator[Stream]:
        with self._bucket.opened(digest, Watch.of(None, check).check, start, end) as stream:
            yield stream

    def erase(self) -> None:
        """The objects below the prefix, and this host's copies."""
        for digest in self._bucket.lying(datetime.now(UTC)):
            self._bucket.remove(digest)
        self._bucket.remove_below(f"{layout.QUARANTINE}/")
        self._local.erase()
