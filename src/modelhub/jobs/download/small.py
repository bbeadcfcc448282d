"""Small files: each is read whole over a kept connection, and stored with others of its kind."""

import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from modelhub.facts import RepoFile
from modelhub.jobs.download.crew import Crew, Gate
from modelhub.jobs.download.large import again
from modelhub.jobs.download.meter import Meter
from modelhub.jobs.download.origin import Fetched, Origin, expected
from modelhub.refs import Digest
from modelhub.store import Batch, Store

SMALL = 1 << 20
"""Bytes up to which a file is read whole."""
BATCH = 64
BATCH_BYTES = 16 << 20

Stored = Callable[[list[Fetched]], None]


class Read(NamedTuple):
    """A file whose bytes are here, not yet compared with what was promised."""

    file: RepoFile
    data: bytes
    began: float


class SmallFiles:
    """A queue of small files, and what its threads do. `stored` is told of each batch that is in the store."""

    def __init__(
        self, store: Store, origin: Origin, crew: Crew, meter: Meter, gate: Gate, stored: Stored
    ) -> None:
        self._store = store
        self._origin = origin
        self._crew = crew
        self._meter = meter
        self._gate = gate
        self._stored = stored
        self._waiting: deque[RepoFile] = deque()
        self._batch: list[Read] = []
        self._serving = 0
        self._lock = threading.Lock()

    def add(self, files: Iterable[RepoFile]) -> None:
        """Queue files."""
        with self._lock:
            self._waiting.extend(files)

    def serve(self) -> None:
        """Fetch until none is waiting; what was read before an error is stored all the same."""
        with self._lock:
            self._serving += 1
        try:
            while (file := self._next()) is not None:
                self._crew.check()
                began = self._origin.begin(file)
                self._keep(self._collect(Read(file, self._read(file, self._meter), began)))
        finally:
            self._keep(self._rest())

    def _collect(self, one: Read) -> list[Read]:
        """A batch, when `one` makes it full."""
        with self._lock:
            self._batch.append(one)
            full = len(self._batch) >= BATCH or sum(r.file.size for r in self._batch) >= BATCH_BYTES
            batch, self._batch = (self._batch, []) if full else ([], self._batch)
            return batch

    def _rest(self) -> list[Read]:
        """What is left for the last thread to store."""
        with self._lock:
            self._serving -= 1
            batch, self._batch = ([], self._batch) if self._serving else (self._batch, [])
            return batch

    def _next(self) -> RepoFile | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def _read(self, file: RepoFile, meter: Meter) -> bytes:
        """All its bytes, and one more where it has more than it should: the store refuses it."""
        return again(lambda: self._read_once(file, meter), self._origin, file)

    def _read_once(self, file: RepoFile, meter: Meter) -> bytes:
        reader = self._origin.reader(file)
        data = bytearray(file.size + 1)
        view, done = memoryview(data), 0
        with self._crew.waking(reader.stop), meter.attempt(file.path) as tally:
            with reader.open(0, None) as stream:
                while done < len(data) and (count := stream.readinto(view[done:])):
                    done += count
            tally.add(min(done, file.size))
        return bytes(view[:done])

    def _keep(self, batch: list[Read]) -> None:
        if not batch:
            return
        with self._gate:
            put: list[tuple[Read, Digest]] = []
            try:
                with self._store.batch() as stored:
                    put.extend((one, self._put(stored, one)) for one in batch)
            finally:
                here = stored.records
                self._stored(
                    [Fetched(one.file, d, one.file.size, one.began) for one, d in put if d in here]
                )

    def _put(self, batch: Batch, one: Read) -> Digest:
        """Store it; other bytes than those promised are fetched once more."""
        first = [one.data]

        def attempt() -> Digest:
            data = first.pop() if first else self._read(one.file, Meter())
            return batch.put(Whole(data), expect=expected(one.file))

        return again(attempt, self._origin, one.file)


class Whole:
    """Bytes that are here, as a stream."""

    def __init__(self, data: bytes) -> None:
        self._left = memoryview(data)

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count
