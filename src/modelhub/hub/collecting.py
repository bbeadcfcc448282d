"""Deletes what nobody needs: finds it by the registry and by the disk, asks again, and lets it go."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from pydantic import model_validator

from modelhub.facts import Collected, Collection, GarbageKind, JobKind, JsonDict
from modelhub.hub.deleting import delete_blob
from modelhub.hub.spans import Span, seconds_of
from modelhub.jobs import Handler, Holds, JobContext, Jobs, Payload
from modelhub.refs import Digest
from modelhub.registry import InstanceBook, Registry, StoreKey, Transaction, Unneeded
from modelhub.store import Inventory, Lying, Store
from modelhub.store.layout import blob_path

log = logging.getLogger(__name__)

HOUR, DAY = 3600.0, 86_400.0


@dataclass(frozen=True, slots=True)
class Rules:
    """How long each thing must not have been used before it is garbage, in seconds.

    `grace` is for blobs and folders, `orphans` for files that no record knows. With `forgotten`, forgotten
    repositories need nothing.
    """

    grace: float = HOUR
    orphans: float = DAY
    parts: float = 7 * DAY
    quarantine: float = 30 * DAY
    forgotten: bool = False

    @classmethod
    def of(cls, *, forgotten: bool, **spans: Span) -> "Rules":
        """As a caller writes them: each in seconds, or as a `timedelta`.

        Raises:
            InvalidInput: for what is no time.
        """
        return cls(forgotten=forgotten, **{name: seconds_of(name, span) for name, span in spans.items()})

    def dump(self) -> JsonDict:
        """As JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


class GcPayload(Payload):
    """A collection to be done by a worker; as `hub.store.gc` takes it, in seconds."""

    forgotten: bool = False
    grace: float = HOUR
    orphans: float = DAY
    parts: float = 7 * DAY
    quarantine: float = 30 * DAY

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        self.rules()
        return self

    def rules(self) -> Rules:
        """What is garbage."""
        return Rules.of(**self.model_dump())


@dataclass(frozen=True, slots=True)
class _Found:
    """What was seen: garbage, and what the records say is there and is not."""

    items: tuple[Collected, ...]
    missing: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Collector:
    """Marks and sweeps one store. Whatever is deleted was asked for once more while nobody could take it;
    what was cut short, the next collection ends.
    """

    registry: Registry
    jobs: Jobs
    store: Store
    place: StoreKey
    book: InstanceBook
    holds: Holds

    def reap(self) -> None:
        """Who is dead needs nothing: jobs, models and leases of processes that are gone."""
        self.jobs.reap()
        self.book.reap()
        self.holds.reap()

    def survey(self, rules: Rules) -> Collection:
        """What a collection would delete now, and why. Changes nothing."""
        return self._report(rules, self._look(rules), dry_run=True)

    def collect(self, rules: Rules, context: JobContext) -> JsonDict:
        """Delete it; what somebody took meanwhile stays."""
        started = time.monotonic()
        self.reap()
        found = self._look(rules)
        gone = tuple(self._delete_all(found.items, rules, context))
        if found.missing:
            self.store.find(found.missing)  # which writes down that they are not there
        report = self._report(rules, _Found(gone, found.missing), dry_run=False)
        fields = {"store": report.store, "items": len(gone), "bytes": report.bytes}
        log.info("store_collected", extra=fields | {"duration_ms": _ms(started)})
        return report.model_dump()

    def handler(self) -> Handler[GcPayload]:
        """As a kind of work that can be submitted; two with the same rules are one."""
        return Handler(
            JobKind.STORE_GC.value,
            GcPayload,
            lambda payload, context: self.collect(payload.rules(), context),
            limit=1,
        )

    # What there is

    def _look(self, rules: Rules) -> _Found:
        # First the disk, then the records: what comes in between is on record, and no orphan.
        seen = self.store.inventory()
        with self.registry.read() as tx:
            known = tx.garbage.known(self.place)
            unneeded = tx.garbage.unneeded(
                self.place, timedelta(seconds=rules.grace), forgotten=rules.forgotten
            )
            orphans = self._orphans(tx, seen, known, rules)
            folders = tuple(self._folders(tx, seen, rules))
        absent = known.keys() - seen.blobs.keys()
        items = (
            *(_blob(one, seen) for one in unneeded),
            *orphans,
            *folders,
            *_parts(seen, rules),
            *_old(
                GarbageKind.QUARANTINE,
                seen.quarantine,
                rules.quarantine,
                "damaged bytes, kept long enough",
            ),
            *_tables(seen, rules.orphans),
        )
        doomed = {one.digest for one in unneeded}
        lost = (one for one in absent - doomed if known[one] == "present")
        return _Found(items, tuple(sorted(lost)))

    def _orphans(
        self, tx: Transaction, seen: Inventory, known: Iterable[Digest], rules: Rules
    ) -> tuple[Collected, ...]:
        """Files that no record has, unless this database knows none of them: then it is not this store's."""
        strangers = seen.blobs.keys() - set(known)
        if strangers and strangers == seen.blobs.keys() and not set(known):
            log.warning("store_unknown", extra={"store": self.store.uri, "files": len(strangers)})
            return ()
        old = [one for one in strangers if seen.blobs[one].age >= rules.orphans]
        found = ((digest, seen.blobs[digest]) for digest in sorted(tx.garbage.unknown(old, self.place)))
        return tuple(
            _collected(GarbageKind.ORPHAN, lying, "no record has it", digest) for digest, lying in found
        )

    def _folders(self, tx: Transaction, seen: Inventory, rules: Rules) -> Iterator[Collected]:
        """Snapshots that no record has, nor a model that needs them; and those of forgotten repositories."""
        noted, needed = tx.garbage.folders(self.place), _lent(tx)
        dropped = frozenset(tx.garbage.forgotten_folders(self.place) if rules.forgotten else ())
        for lying in seen.folders:
            if lying.path in dropped:
                yield _collected(GarbageKind.SNAPSHOT, lying, "its repository was forgotten")
            elif lying.path not in noted | needed and lying.age >= rules.grace:
                yield _collected(GarbageKind.SNAPSHOT, lying, "no repository has it")

    # What goes

    def _delete_all(
        self, items: Iterable[Collected], rules: Rules, context: JobContext
    ) -> Iterator[Collected]:
        listed = sorted(items, key=lambda one: list(_ORDER).index(one.kind))
        self._mark(listed, rules)
        for done, item in enumerate(listed):
            context.progress("collect", done, len(listed), item.name or item.path, unit="files")
            if self._delete(item, rules):
                yield item
        yield from self._sweep([one for one in listed if one.kind is GarbageKind.PART], rules)

    def _sweep(self, parts: Sequence[Collected], rules: Rules) -> Iterator[Collected]:
        """Parts go by the store's own rule: never one whose writer lives."""
        if parts:
            self.store.sweep(parts_older_than=rules.parts)
            left = {one.path for one in self.store.inventory().parts}
            yield from (one for one in parts if one.path not in left)

    def _mark(self, items: Iterable[Collected], rules: Rules) -> None:
        """Folders of forgotten repositories first: what lies in them is needed until then."""
        kinds = (GarbageKind.BLOB, GarbageKind.RECORD)
        blobs = [one.digest for one in items if one.kind in kinds and one.digest]
        with self.registry.begin() as tx:
            if not rules.forgotten:
                tx.garbage.spare(self.place)
            tx.garbage.mark(self.place, blobs, timedelta(seconds=rules.grace), forgotten=rules.forgotten)

    def _delete(self, item: Collected, rules: Rules) -> bool:
        match item.kind:
            case GarbageKind.BLOB | GarbageKind.RECORD:
                assert item.digest is not None
                return self._delete_blob(item.digest, forgotten=rules.forgotten)
            case GarbageKind.ORPHAN:
                assert item.digest is not None
                return self.store.remove(item.digest, self._unknown(item.digest))
            case GarbageKind.SNAPSHOT:
                return self._delete_folder(item.path, rules)
            case GarbageKind.PART:
                return False  # see `_sweep`
            case GarbageKind.QUARANTINE:
                return self.store.discard(item.path, older_than=rules.quarantine)
            case GarbageKind.TABLE:
                return self.store.discard(item.path, older_than=rules.orphans)

    def _delete_blob(self, digest: Digest, *, forgotten: bool) -> bool:
        def confirm(tx: Transaction) -> bool:
            return tx.garbage.confirm(digest, self.place, forgotten=forgotten)

        return delete_blob(self.registry, self.store, self.place, digest, confirm)

    def _unknown(self, digest: Digest) -> Callable[[], bool]:
        def confirm() -> bool:
            with self.registry.read() as tx:
                return bool(tx.garbage.unknown([digest], self.place))

        return confirm

    def _delete_folder(self, path: str, rules: Rules) -> bool:
        """In the transaction that keeps anybody from writing the folder down."""
        with self.registry.begin() as tx:
            tx.garbage.close_snapshots()
            dropped = rules.forgotten and tx.garbage.drop_snapshot(path, self.place)
            taken = path in tx.garbage.folders(self.place) or path in _lent(tx)
            return not taken and (self.store.remove_snapshot(path) or dropped)

    def _report(self, rules: Rules, found: _Found, *, dry_run: bool) -> Collection:
        with self.registry.read() as tx:
            grace = timedelta(seconds=rules.grace)
            kept = tx.garbage.spared(self.place, grace, forgotten=rules.forgotten)
        return Collection(
            store=self.store.uri, dry_run=dry_run, items=found.items, kept=kept, missing=found.missing
        )


_ORDER = (
    GarbageKind.SNAPSHOT,
    GarbageKind.BLOB,
    GarbageKind.RECORD,
    GarbageKind.ORPHAN,
    GarbageKind.TABLE,
    GarbageKind.PART,
    GarbageKind.QUARANTINE,
)
"""A folder goes before its blobs, whose bytes are free only when both names are gone."""


def _lent(tx: Transaction) -> frozenset[str]:
    """The folders with files of repositories that are not registered any more, which models need."""
    found = []
    for repo, commit in tx.garbage.lent():
        vendor, _, name = repo.rpartition("/")
        found.append(Store.snapshot_path(vendor, name, commit))
    return frozenset(found)


def _blob(one: Unneeded, seen: Inventory) -> Collected:
    lying = seen.blobs.get(one.digest)
    reason = "its deletion was cut short" if one.state == "deleting" else "no repository needs it"
    return Collected(
        kind=GarbageKind.RECORD if lying is None else GarbageKind.BLOB,
        path=blob_path(one.digest),
        bytes=0 if lying is None else lying.size,
        age=one.idle,
        reason=reason,
        digest=one.digest,
        name=one.name,
    )


def _collected(kind: GarbageKind, lying: Lying, why: str, digest: Digest | None = None) -> Collected:
    return Collected(
        kind=kind, path=lying.path, bytes=lying.size, age=lying.age, reason=why, digest=digest
    )


def _old(kind: GarbageKind, lying: Iterable[Lying], age: float, why: str) -> Iterator[Collected]:
    return (_collected(kind, one, why) for one in lying if one.age >= age)


def _parts(seen: Inventory, rules: Rules) -> Iterator[Collected]:
    """What was being received; other things in `tmp` are nobody's after a day."""
    for lying in seen.parts:
        resumable = ".part" in lying.path.rpartition("/")[2]
        if lying.age >= (rules.parts if resumable else max(DAY, rules.grace)):
            why = "nobody has gone on with it" if resumable else "its writer has died"
            part = _collected(GarbageKind.PART, lying, why)
            yield part.model_copy(update={"bytes": lying.disk})  # it has holes


def _tables(seen: Inventory, age: float) -> Iterator[Collected]:
    """Checksums of blobs that are not here."""
    alone = (seen.tables[one] for one in sorted(seen.tables.keys() - seen.blobs.keys()))
    return _old(GarbageKind.TABLE, alone, age, "its blob is gone")


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
