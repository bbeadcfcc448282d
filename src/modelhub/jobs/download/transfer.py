"""Leads the threads of one download from the caller's own, which hears of progress and may stop it."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelhub.facts import RepoFile
from modelhub.jobs.context import JobContext
from modelhub.jobs.download.claims import Keeper
from modelhub.jobs.download.crew import Crew, Gate
from modelhub.jobs.download.flights import Flights
from modelhub.jobs.download.large import again, receive
from modelhub.jobs.download.meter import Meter
from modelhub.jobs.download.origin import Fetched, Origin, expected
from modelhub.jobs.download.ports import Claims
from modelhub.jobs.download.ranges import Measures
from modelhub.jobs.download.small import SMALL, SmallFiles
from modelhub.refs import Digest
from modelhub.store import Store

log = logging.getLogger(__name__)

FILES_AT_ONCE = 8
_TICK = 0.1  # seconds between two reports
_ASK = 0.5  # seconds between two questions whether what others fetch is here
_GRACE = 0.5  # seconds for what small files were read to be stored when all stops

Note = Callable[[Mapping[str, Digest]], None]


@dataclass(frozen=True, slots=True)
class Shared:
    """What all downloads into one store share. `flights` are those of this process."""

    store: Store
    claims: Claims
    flights: Flights = field(default_factory=Flights)
    measures: Measures = field(default_factory=Measures)


class Transfer:
    """One download. `note` is told of files that are in the store. One use.

    Bytes that somebody else fetches are waited for, and fetched here when they stop without having them.
    """

    def __init__(self, shared: Shared, origin: Origin, note: Note, context: JobContext) -> None:
        self._store = shared.store
        self._measures = shared.measures
        self._flights = shared.flights
        self._keeper = Keeper(shared.claims)
        self._origin = origin
        self._note = note
        self._context = context
        self._crew = Crew()
        self._meter = Meter()
        self._gate = Gate()
        self._small = SmallFiles(
            self._store, origin, self._crew, self._meter, self._gate, self._finished
        )
        self._large: deque[RepoFile] = deque()
        self._lock = threading.Lock()
        self._files: dict[str, list[RepoFile]] = {}
        self._mine: set[str] = set()
        self._open = self._moved = self._total = 0
        self._threads: list[threading.Thread] = []
        self._reported: tuple[int, str] | None = None

    def run(self, files: Iterable[RepoFile]) -> int:
        """Return when all `files` are in the store: how many bytes moved.

        Raises:
            SourceError, IntegrityError, StoreError, Cancelled, DeadlineExceeded
        """
        for file in files:
            self._files.setdefault(self._origin.name(file), []).append(file)
            self._total += file.size
        with self._keeper:
            try:
                self._lead(dict(self._files))
            except BaseException:
                self._crew.stop()
                raise
            finally:
                self._end()
        return self._moved

    # In the caller's thread

    def _lead(self, waiting: dict[str, list[RepoFile]]) -> None:
        asked = -_ASK
        while waiting or self._open:
            if waiting and time.monotonic() - asked >= _ASK:
                for name in self._admit([group[0] for group in waiting.values()]):
                    del waiting[name]
                asked = time.monotonic()
            if self._crew.failure is not None:
                raise self._crew.failure
            self._report(waiting)
            if self._open or waiting:
                self._crew.nap(_TICK)
        if self._crew.failure is not None:
            raise self._crew.failure

    def _admit(self, files: Sequence[RepoFile]) -> list[str]:
        """Begin what nobody else fetches, and pass over what is here: the names of all these."""
        by_name = {self._origin.name(file): file for file in files}
        self._mine |= self._flights.begin(by_name)
        ours = {name: file for name, file in by_name.items() if name in self._mine}
        large = {file.sha256 for file in ours.values() if file.sha256 and file.size > SMALL}
        claimed = self._keeper.take(large)
        ours = {name: file for name, file in ours.items() if file.sha256 not in large - claimed}
        # Asked after they were claimed: whoever had them before may have brought them here.
        here = self._store.present(file.sha256 for file in ours.values() if file.sha256)
        came = [name for name, file in ours.items() if file.sha256 in here]
        for name in came:
            self._pass_over(name)
        self._keeper.release(here)
        wanted = {name: file for name, file in ours.items() if name not in came}
        self._require_room(wanted)
        self._start(list(wanted.values()))
        return list(ours)

    def _pass_over(self, name: str) -> None:
        with self._meter.attempt("") as tally:
            tally.add(sum(file.size for file in self._files[name]))
        self._let_go([name])

    def _require_room(self, files: Mapping[str, RepoFile]) -> None:
        """Refuse before the first byte what does not fit in all."""
        if files:
            first, *others = (file.path for file in files.values())
            what = f"{first} with {len(others)} more files" if others else first
            numbered = enumerate(files.values())
            sizes = {file.sha256 or f"no-{number}": file.size for number, file in numbered}
            self._store.require_room(sizes, what)

    def _start(self, files: Sequence[RepoFile]) -> None:
        small = [file for file in files if file.size <= SMALL]
        large = sorted((file for file in files if file.size > SMALL), key=lambda file: -file.size)
        self._open += len(files)
        self._small.add(small)
        self._large.extend(large)
        for _ in range(min(FILES_AT_ONCE, len(small))):
            self._threads.append(self._crew.start(self._small.serve, "download-small"))
        for _ in range(min(FILES_AT_ONCE, len(large))):
            self._threads.append(self._crew.start(self._serve_large, "download-file"))

    def _report(self, waiting: Mapping[str, Sequence[RepoFile]]) -> None:
        done = min(self._meter.done, self._total)
        item = self._meter.item
        if waiting and not self._open:
            hosts = self._keeper.hosts(
                {group[0].sha256 for group in waiting.values() if group[0].sha256}
            )
            item = f"waiting for {', '.join(hosts) or 'another download'}"
        if (done, item) != self._reported:
            self._reported = (done, item)
            self._context.progress("fetch", done, self._total, item)
        else:
            self._context.check()

    def _end(self) -> None:
        """Nobody uses the store any more after this, nor what is claimed here."""
        until = time.monotonic() + _GRACE
        for thread in self._threads:
            if thread.name == "download-small":
                thread.join(max(0.0, until - time.monotonic()))
        self._gate.close()
        for thread in self._threads:
            if thread.name == "download-file":
                thread.join()
        self._flights.end(self._mine)

    # In its threads

    def _serve_large(self) -> None:
        while (file := self._next_large()) is not None:
            self._crew.check()
            self._finished([self._receive(file) if file.sha256 else self._put(file)])

    def _next_large(self) -> RepoFile | None:
        with self._lock:
            return self._large.popleft() if self._large else None

    def _receive(self, file: RepoFile) -> Fetched:
        return receive(self._store, self._origin, file, self._crew, self._meter, self._measures)

    def _put(self, file: RepoFile) -> Fetched:
        """A file whose hash is not known, in one stream."""
        began = self._origin.begin(file)

        def attempt() -> Digest:
            reader = self._origin.reader(file)
            with (
                self._crew.waking(reader.stop),
                self._meter.attempt(file.path) as tally,
                reader.open(0, None) as stream,
                self._gate,
            ):
                put = self._store.put(
                    stream, expect=expected(file), on_bytes=tally.add, check=self._crew.check
                )
            return put.digest

        return Fetched(file, again(attempt, self._origin, file), file.size, began)

    def _finished(self, fetched: Sequence[Fetched]) -> None:
        if not fetched:
            return
        for one in fetched:
            extra = {"hash": one.digest, "duration_ms": round((time.monotonic() - one.began) * 1000)}
            log.info("artifact_download_finish", extra=self._origin.log_fields(one.file) | extra)
        by_name = {self._origin.name(one.file): one for one in fetched}
        groups = {name: self._files[name] for name in by_name}
        noted: dict[str, Digest] = {
            file.path: by_name[name].digest for name, group in groups.items() for file in group
        }
        self._note(noted)
        with self._meter.attempt(self._meter.item) as tally:
            tally.add(sum(file.size for group in groups.values() for file in group[1:]))
        with self._lock:
            self._moved += sum(one.moved for one in fetched)
            self._open -= len(fetched)
        self._let_go(groups)
        self._crew.nudge()

    def _let_go(self, names: Iterable[str]) -> None:
        names = list(names)
        self._keeper.release(sha for name in names if (sha := self._files[name][0].sha256))
        self._flights.end(names)
        self._mine.difference_update(names)
