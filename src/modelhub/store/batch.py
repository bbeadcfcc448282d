"""Many small files at once: made durable, named and written down together."""

import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack

from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store.folders import Folders
from modelhub.store.fsops import ALONE, Check, OnBytes, Watch
from modelhub.store.intake import ByteStream, Expected, receive
from modelhub.store.parts.reservations import reserve
from modelhub.store.publishing import Arrival, Publisher

# As many files are open at most for each batch; some systems allow a process 256.
_GROUP = 64


# What arrived, and what closes and removes its file in `tmp`.
_Waiting = tuple[Arrival, ExitStack]


class LocalBatch:
    """Files that become blobs in groups; see `Store.batch`."""

    def __init__(self, folders: Folders, publisher: Publisher) -> None:
        self._folders = folders
        self._publisher = publisher
        self._lock = threading.Lock()
        self._group: list[_Waiting] = []
        self._records: dict[Digest, BlobRecord] = {}

    @property
    def records(self) -> Mapping[Digest, BlobRecord]:
        """What became a blob until now; all of it at the end of the batch."""
        with self._lock:
            return dict(self._records)

    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Digest:
        """Take all bytes of `stream`, as `Store.put` does; they get their name later, with others.

        Raises:
            IntegrityError, StoreFull, StoreUnavailable: as `Store.put`; the others of the batch stay.
        """
        started, watch = time.monotonic(), Watch.of(on_bytes, check)
        reserve(self._folders, expect.name, expect.size or 0)
        with ExitStack() as stack:
            temp = stack.enter_context(self._publisher.temp(watch))
            received = receive(stream, temp.fd, expect, self._folders, watch)
            self._add((Arrival(temp, received, expect.name, started), stack.pop_all()))
        return received.digest

    def _add(self, one: _Waiting) -> None:
        """Take over a file; who fills a group publishes it, while others fill the next."""
        with self._lock:
            self._group.append(one)
            if len(self._group) < _GROUP:
                return
        self.flush()

    def flush(self) -> None:
        """Make blobs of all that has arrived.

        Raises:
            StoreFull, StoreUnavailable
        """
        with self._lock:
            group, self._group = self._group, []
        with ExitStack() as files:
            for _, file in group:
                files.push(file)
            self._keep(self._publisher.name([arrival for arrival, _ in group]))
            known = self.records
            for arrival, file in group:
                if arrival.received.digest in known:
                    file.close()  # its lock, too: it is the blob now, which others wait for
            for arrival, _ in group:
                digest = arrival.received.digest
                if digest not in known:
                    self._keep({digest: self._publisher.publish(arrival, ALONE)})

    def _keep(self, records: Mapping[Digest, BlobRecord]) -> None:
        with self._lock:
            self._records.update(records)
