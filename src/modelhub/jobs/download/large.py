"""One large file: ranges of it, over as many connections as make it faster."""

import logging
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from modelhub.errors import (
    IntegrityError,
    ModelHubError,
    Offline,
    SourceChanged,
    SourceError,
    SourceUnavailable,
)
from modelhub.facts import RepoFile
from modelhub.jobs.download.crew import Crew, Gate
from modelhub.jobs.download.meter import Meter, Tally
from modelhub.jobs.download.origin import Fetched, Origin, expected
from modelhub.jobs.download.ranges import Measures, Pace, Range, Work
from modelhub.refs import Digest
from modelhub.sources import ByteStream, Reader
from modelhub.store import Part, Store

T = TypeVar("T")
log = logging.getLogger(__name__)

_BUFFER = 256 << 10  # stays in the cache of a core from the socket to the file and the checksum
_TICK = 0.1  # seconds
_ATTEMPTS = 3
"""How often a range is asked for whose answers are not what was asked for."""


def receive(
    store: Store,
    origin: Origin,
    file: RepoFile,
    crew: Crew,
    meter: Meter,
    measures: Measures,
) -> Fetched:
    """Bring `file`, whose sha256 is known, into the store.

    Other bytes than those promised are fetched once more, from the start.

    Raises:
        IntegrityError, SourceError, StoreError, Cancelled
    """
    began = origin.begin(file)

    def attempt() -> tuple[Digest, int]:
        return _receive(store, origin, file, crew, meter, measures)

    digest, moved = again(attempt, origin, file)
    return Fetched(file, digest, moved, began)


def again(attempt: Callable[[], T], origin: Origin, file: RepoFile) -> T:
    """`attempt`; once more when other bytes came, and once more when the source changed meanwhile.

    Both may be: of a change that is noticed, the part may keep ranges of the other version, which only the
    hash of the next attempt finds.
    """
    seen: set[str] = set()
    while True:
        try:
            return attempt()
        except (IntegrityError, SourceChanged) as error:
            if error.code in seen:
                raise
            seen.add(error.code)
            log.warning(
                "artifact_download_again", extra=origin.log_fields(file) | {"error_type": error.code}
            )


def _receive(
    store: Store,
    origin: Origin,
    file: RepoFile,
    crew: Crew,
    meter: Meter,
    measures: Measures,
) -> tuple[Digest, int]:
    reader = origin.reader(file)
    with (
        crew.waking(reader.stop),
        meter.attempt(file.path) as tally,
        store.receive(expected(file), check=crew.check) as part,
    ):
        wanted = sum(end - start for start, end in part.missing)
        tally.add(file.size - wanted)
        if part.record is None:
            Ranges(reader, part, crew, tally, measures).run()
            return part.finish(crew.check).digest, wanted
        return part.record.digest, 0


class Ranges:
    """Fills a part by the ranges that it misses. One use."""

    def __init__(self, reader: Reader, part: Part, crew: Crew, tally: Tally, measures: Measures) -> None:
        self._reader = reader
        self._part = part
        self._crew = crew
        self._tally = tally
        self._work = Work(part.missing, shortest=measures.shortest, longest=measures.longest)
        self._pace = Pace(first=measures.first, most=measures.most)
        self._gate = Gate()
        self._change = threading.Condition()
        self._active = self._moved = 0
        self._failure: Exception | None = None
        self._whole = False

    def run(self) -> None:
        """Return when nothing is missing any more.

        Raises:
            SourceError, StoreError, Cancelled
        """
        try:
            with self._change:
                while self._goes_on():
                    self._change.wait(_TICK)
        finally:
            self._gate.close()

    def _goes_on(self) -> bool:
        if self._failure is not None:
            raise self._failure
        self._crew.check()
        connections = 1 if self._whole else self._pace.look(self._moved, time.monotonic())
        while self._active < connections and self._work.left:
            self._active += 1
            threading.Thread(target=self._serve, name="download", daemon=True).start()
        return bool(self._active or self._work.left)

    def _serve(self) -> None:
        """One connection's worth of work."""
        failure: Exception | None = None
        try:
            buffer = memoryview(bytearray(_BUFFER))
            while (span := self._next()) is not None:
                self._fetch(span, buffer)
        except Exception as error:  # noqa: BLE001 - raised by `run`
            failure = error
        with self._change:
            self._failure = self._failure or failure
            self._active -= 1
            self._change.notify_all()

    def _next(self) -> Range | None:
        with self._change:
            if self._whole:  # the last one of them goes on, alone
                return self._work.take_all() if self._active == 1 else None
            if self._failure or self._active > self._pace.connections:
                return None
            return self._work.take(self._pace.connections)

    def _fetch(self, span: Range, buffer: memoryview) -> None:
        """A range; what its answers got wrong is asked for again."""
        at = span.start
        for attempt in range(_ATTEMPTS):
            try:
                self._attempt(Range(at, span.end), buffer)
            except SourceError as error:
                if attempt + 1 == _ATTEMPTS or not _is_odd(error):
                    raise
                log.warning("range_again", extra={"position": at, "error_type": error.code})
                at = self._first_missing(span)
                if at == span.end:
                    return
            else:
                return

    def _attempt(self, span: Range, buffer: memoryview) -> None:
        with self._reader.open(span.start, None if self._whole else span.end) as stream:
            if self._reader.whole_only and not self._whole:
                with self._change:
                    self._work.put_back(span)
                    self._whole = True
                return
            end = self._copy(stream, span, buffer)
        if end < span.end:
            raise SourceError(
                f"bytes {span.start} to {span.end} were asked for, and {end - span.start} came",
                hint="Try again; the source may be broken.",
            )

    def _copy(self, stream: ByteStream, span: Range, buffer: memoryview) -> int:
        """Where it ended."""
        at = span.start
        try:
            while at < span.end and (count := stream.readinto(buffer[: span.end - at])):
                with self._gate:
                    self._part.write(at, buffer[:count])
                at += count
                self._count(count)
        except BaseException:
            # The block that is not whole will come again.
            self._count(-(at - max(span.start, min(at, self._first_missing(span)))))
            raise
        return at

    def _count(self, count: int) -> None:
        self._tally.add(count)
        self._moved += count

    def _first_missing(self, span: Range) -> int:
        """Where the first missing block of a range begins; its end when none is missing."""
        starts = (max(span.start, start) for start, end in self._part.missing if end > span.start)
        return min(span.end, next(starts, span.end))


def _is_odd(error: ModelHubError) -> bool:
    """Whether an answer was wrong in a way that the next one may not be."""
    return not isinstance(error, SourceUnavailable | SourceChanged | Offline)
