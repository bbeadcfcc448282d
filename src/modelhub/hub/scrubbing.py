"""Reads what the store has again, the longest unread first, no faster than it is told to."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Self

from pydantic import model_validator

from modelhub.errors import ArtifactNotFound, IntegrityError, InvalidInput, StoreUnavailable
from modelhub.facts import BlobRecord, Call, DamagedBlob, JobKind, JsonDict, Scrub, UnreadBlob
from modelhub.facts.base import parse_bytes
from modelhub.hub.repairing import Repairer
from modelhub.hub.spans import Span, seconds_of
from modelhub.jobs import Handler, JobContext, Payload
from modelhub.refs import Digest
from modelhub.store import Store

log = logging.getLogger(__name__)

BATCH = 200
LONGEST_NAP = 0.2
"""Seconds between two looks at whether to go on."""


@dataclass(frozen=True, slots=True)
class ScrubOrder:
    """What to read: blobs not hashed since `before`; at most `rate` bytes a second and about `limit` bytes."""

    before: datetime
    rate: int | None = None
    limit: int | None = None

    @classmethod
    def of(
        cls,
        rate: int | str | None,
        limit: int | str | None,
        older_than: Span | None,
        moment: datetime | None = None,
    ) -> "ScrubOrder":
        """As a caller writes it: `rate` and `limit` in bytes or as `100MB/s` and `50GB`, `older_than` in
        seconds or as a `timedelta`, before `moment` (now by default).

        Raises:
            InvalidInput
        """
        age = seconds_of("older_than", older_than or 0)
        return cls(
            (moment or datetime.now(UTC)) - timedelta(seconds=age),
            _bytes("rate", rate, "/s"),
            _bytes("limit", limit),
        )


def _bytes(name: str, given: int | str | None, end: str = "") -> int | None:
    if given is None:
        return None
    count = parse_bytes(given.removesuffix(end), name) if isinstance(given, str) else given
    if count < 1:
        raise InvalidInput(f"{name} must be at least one byte, not {given!r:.40}", field=name)
    return count


class ScrubPayload(Payload):
    """A scrub to be done by a worker; as `hub.store.scrub` takes it, `older_than` in seconds."""

    rate: int | str | None = None
    limit: int | str | None = None
    older_than: float | None = None

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        self.order()
        return self

    def order(self, moment: datetime | None = None) -> ScrubOrder:
        """What to read, as of `moment`."""
        return ScrubOrder.of(self.rate, self.limit, self.older_than, moment)


@dataclass(slots=True)
class Pace:
    """Holds a reader back, so that it takes at most `rate` bytes a second."""

    rate: int | None
    check: Callable[[], None]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = field(default_factory=lambda: _rest)
    _due: float | None = None

    def took(self, count: int) -> None:
        """`count` bytes were read: wait as long as they should have taken."""
        if self.rate is None:
            return
        now = self.clock()
        # What was slower than allowed is not made up for.
        self._due = max(now, self._due or now) + count / self.rate
        while (left := self._due - self.clock()) > 0:
            self.check()
            self.sleep(min(left, LONGEST_NAP))


def _rest(seconds: float) -> None:
    threading.Event().wait(seconds)


@dataclass(frozen=True, slots=True)
class Scrubber:
    """Hashes blobs of one store, one after another, and has repaired what is damaged."""

    store: Store
    repairer: Repairer

    def scrub(self, order: ScrubOrder, context: JobContext) -> JsonDict:
        """The work of one job: a `Scrub` as JSON. Begun again, it reads on where it was."""
        run = _Run(self.store, self.repairer, order, context)
        report = run.report(complete=all(run.read(record) for record in self._stale(order, run)))
        figures = {"checked": report.checked, "bytes": report.bytes, "damaged": len(report.damaged)}
        log.info("store_scrubbed", extra=figures)
        return report.model_dump()

    def handler(self) -> Handler[ScrubPayload]:
        """As a kind of work that can be submitted.

        What to read is as of when it was: whoever takes it over reads nothing that was read by then.
        """
        return Handler(
            JobKind.STORE_SCRUB.value,
            ScrubPayload,
            lambda payload, context: self.scrub(payload.order(context.job.created_at), context),
            key=lambda _payload: self.store.uri,
            limit=1,
        )

    def _stale(self, order: ScrubOrder, run: "_Run") -> Iterator[BlobRecord]:
        """What is read is not stale any more, unless the clock was set back; what could not be read still is."""
        while batch := [
            record
            for record in self.store.stale(order.before, BATCH + len(run.unread))
            if record.digest not in run.unread and record.digest not in run.read_now
        ]:
            yield from batch


class _Part(Call):
    """A call that ends when the job does whose work it is a part of."""

    __slots__ = ("_check",)

    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def check(self) -> None:
        """As the job is asked."""
        self._check()


class _Run:
    """What one scrub has seen so far."""

    def __init__(self, store: Store, repairer: Repairer, order: ScrubOrder, context: JobContext) -> None:
        self.unread: dict[Digest, UnreadBlob] = {}
        self.read_now: set[Digest] = set()
        self._damaged: list[DamagedBlob] = []
        self._store, self._repairer, self._order, self._context = store, repairer, order, context
        self._pace = Pace(order.rate, context.check)
        self._checked = self._bytes = self._seen = 0
        self._item = ""

    def read(self, record: BlobRecord) -> bool:
        """Read one blob; False, and it is not read, when the limit is reached."""
        limit = self._order.limit
        # What could not be read does not count: it would keep each scrub from what comes after it.
        if limit is not None and self._bytes >= limit:
            return False
        self._item = record.digest
        self._on_bytes(0)
        try:
            good = self._store.recheck(record.digest, on_bytes=self._on_bytes, check=self._context.check)
        except IntegrityError as error:
            self._damaged.append(self._repaired(record.digest, error))
            size = record.size
        except ArtifactNotFound:
            return self._look_again(record.digest)
        except StoreUnavailable as error:
            self.unread[record.digest] = UnreadBlob(sha256=record.digest, reason=error.message)
            log.warning("blob_unreadable", extra={"hash": record.digest})
            return True
        else:
            size = good.size
        self.read_now.add(record.digest)
        self._checked += 1
        self._bytes += size
        return True

    def _repaired(self, digest: Digest, error: IntegrityError) -> DamagedBlob:
        found, kept = (str(error.details[name]) for name in ("actual", "kept"))
        damaged = DamagedBlob(sha256=digest, found=found, kept=kept, repaired=True)
        try:
            self._repairer.repair(error, _Part(self._context.check))
        except IntegrityError as lost:
            repos = tuple(lost.details.get("repositories", ()))
            return damaged.model_copy(
                update={"repaired": False, "reason": lost.message, "repositories": repos}
            )
        return damaged

    def _look_again(self, digest: Digest) -> bool:
        """It went: the ledger says so from now on."""
        if self._store.present([digest]):
            self.unread[digest] = UnreadBlob(sha256=digest, reason="it came and went")
        return True

    def _on_bytes(self, count: int) -> None:
        self._seen += count
        self._context.progress("scrub", self._seen, self._order.limit, self._item)
        self._pace.took(count)

    def report(self, *, complete: bool) -> Scrub:
        """All of it."""
        return Scrub(
            store=self._store.uri,
            checked=self._checked,
            bytes=self._bytes,
            damaged=tuple(self._damaged),
            unread=tuple(self.unread.values()),
            complete=complete,
        )
