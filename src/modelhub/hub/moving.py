"""Moves a store to another place: copies first, looks at all of it, and then switches the records."""

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from modelhub.errors import ArtifactNotFound, IntegrityError, InUse, InvalidInput, StoreUnavailable
from modelhub.facts import JsonDict, StoreMove
from modelhub.hub.opening import open_store
from modelhub.jobs import Holds, JobContext
from modelhub.refs import Digest
from modelhub.registry import Registry, SnapshotRecord, StoreKey, StoreLedger, moved_away
from modelhub.settings import Settings
from modelhub.store import Expected, Store, StoreOptions
from modelhub.store.base import scheme_of
from modelhub.store.folders import root_of
from modelhub.store.layout import TOPS, copied_bytes
from modelhub.store.ports import Batch

log = logging.getLogger(__name__)

SMALL = 1 << 20
"""Blobs of at most so many bytes come in groups."""
_CHUNK = 1 << 20
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Mover:
    """Moves the store of one Hub."""

    registry: Registry
    store: Store
    ledger: StoreLedger
    holds: Holds
    settings: Settings

    def goal(self, place: str | os.PathLike[str]) -> Settings:
        """The settings of the new place.

        Raises:
            InvalidInput: for what names no place, this store's own, or one within the other.
        """
        goal = self.settings.moved(place)
        old, new = self._where(self.store.uri), self._where(goal.store)
        if f"{old}/".startswith(f"{new}/") or f"{new}/".startswith(f"{old}/"):
            relation = "the store's own place" if old == new else "within the other place"
            raise InvalidInput(
                f"the store {self.store.uri} cannot be moved to {goal.store}: that is {relation}",
                hint="Name a place that has nothing to do with the old one.",
                field="place",
            )
        return goal

    def is_own(self, place: str | os.PathLike[str]) -> bool:
        """Whether it is where the store is already."""
        return self._where(self.settings.moved(place).store) == self._where(self.store.uri)

    @staticmethod
    def _where(uri: str) -> str:
        """A place by its one name."""
        if scheme_of(uri) == "file":
            return Path(os.path.realpath(root_of(uri))).as_uri()
        return uri.rstrip("/")

    def refuse(self, goal: Settings) -> None:
        """Raise for what hinders a move now.

        Raises:
            InUse: somebody uses the store.
            StoreUnavailable: it was moved already, or the new place has something else in it.
        """
        self.holds.reap()
        key = _key(goal, self.ledger)
        with self.registry.read() as tx:
            moved = tx.moves.moved_to(self.ledger.key)
            holders = tx.moves.holders(self.ledger.key)
            known, folders = tx.moves.is_known(key), tx.moves.snapshots(key)
        if moved is not None:
            raise moved_away(self.ledger.key, moved)
        if holders:
            raise _in_use(self.store.uri, holders)
        if folders:
            raise _taken(goal.store, f"this database keeps {folders} snapshots there")
        _look_into(goal.store, known=known)

    def survey(self, goal: Settings) -> StoreMove:
        """What a move would do. Changes nothing, and makes nothing in the new place."""
        self.refuse(goal)
        sizes, lost = self.wanted()
        key = _key(goal, self.ledger)
        with self.registry.read() as tx:
            here = tx.moves.present(key) & sizes.keys()
        rest = {digest: size for digest, size in sizes.items() if digest not in here}
        linked = rest if _one_disk(self.store.uri, goal.store) else {}
        copied = {} if linked else rest
        records = self.folders()
        return StoreMove(
            source=self.ledger.key.uri,
            target=goal.store,
            dry_run=True,
            here=len(here),
            here_bytes=sum(sizes[digest] for digest in here),
            linked=len(linked),
            linked_bytes=sum(linked.values()),
            copied=len(copied),
            copied_bytes=sum(copied.values()),
            copied_files_bytes=_beside(records),
            snapshots=len(records),
            lost=tuple(sorted(lost)),
        )

    def move(self, goal: Settings, context: JobContext, *, delete_old: bool) -> JsonDict:
        """Do it; begun again, it goes on where it was. Until the switch, the old store is as it was."""
        self.refuse(goal)
        key = _key(goal, self.ledger)
        with ExitStack() as stack:
            with self.registry.begin() as tx:
                known = tx.moves.is_known(key)
            ledger, target = open_store(self.registry, goal, moving=True)
            stack.callback(target.close)
            if not known and target.inventory().blobs:
                raise _taken(goal.store, "it has blobs that this database knows nothing of")
            with self.registry.begin() as tx:
                tx.moves.begin(key)
            run = _Run(self, ledger, target, context)
            for _ in range(_ROUNDS):
                run.bring()
                if run.switch():
                    break
            else:
                raise StoreUnavailable(
                    f"the store {self.store.uri} keeps changing while it is moved",
                    hint="Move it again when nothing is pulled or synced.",
                )
        return self._end(run, delete_old=delete_old).model_dump(mode="json")

    def _end(self, run: "_Run", *, delete_old: bool) -> StoreMove:
        report = run.report()
        figures = {name: getattr(report, name) for name in ("here", "linked", "copied", "copied_bytes")}
        log.info("store_moved", extra={"store": report.source, "target": report.target, **figures})
        if delete_old and not report.lost:
            self.store.erase()
            return report.model_copy(update={"deleted": True})
        disk = sum(one.size for one in self.store.inventory().blobs.values())
        return report.model_copy(update={"kept_bytes": max(0, disk - report.linked_bytes)})

    def delete_left(self) -> StoreMove:
        """Delete the places that this store was moved from.

        Raises:
            InvalidInput: it was not.
        """
        with self.registry.read() as tx:
            left = tx.moves.left(self.ledger.key, self.ledger.host)
        if not left:
            raise InvalidInput(
                f"the store is at {self.store.uri} already, and was moved from nowhere",
                hint="Name the place where it should go.",
                field="place",
            )
        for key in left:
            if scheme_of(key.uri) == "file" and not root_of(key.uri).exists():
                continue
            ledger = StoreLedger(self.registry, key.uri, host=self.ledger.host, shared=not key.host)
            options = StoreOptions(cache=self.settings.cache, endpoint=self.settings.s3_endpoint)
            with Store.open(key.uri, ledger, options=options) as old:
                old.erase()
        return StoreMove(
            source=", ".join(key.uri for key in left), target=self.ledger.key.uri, deleted=True
        )

    def wanted(self) -> tuple[dict[Digest, int], set[Digest]]:
        """The sizes of all blobs that lie here; and those that the records have and the disk does not."""
        lying = self.store.inventory().blobs
        with self.registry.read() as tx:
            present, doomed = tx.moves.present(self.ledger.key), tx.removals.doomed(self.ledger.key)
        sizes = {digest: one.size for digest, one in lying.items() if digest not in set(doomed)}
        return sizes, set(present - sizes.keys())

    def folders(self) -> tuple[SnapshotRecord, ...]:
        """The snapshots, as the records have them."""
        with self.registry.read() as tx:
            return tx.snapshots.all(store=self.ledger.key)


@dataclass
class _Run:
    """One move."""

    home: Mover
    ledger: StoreLedger
    target: Store
    context: JobContext
    sizes: dict[Digest, int] = field(default_factory=dict)
    lost: set[Digest] = field(default_factory=set)
    ways: dict[Digest, str] = field(default_factory=dict)
    links: dict[str, Mapping[str, str]] = field(default_factory=dict)
    records: tuple[SnapshotRecord, ...] = ()
    done: int = 0

    def bring(self) -> None:
        """Let the new place have all that the old one has, and prove it."""
        self.sizes, self.lost = self.home.wanted()
        here = self.target.find(self.sizes)
        for digest in here:
            self.ways.setdefault(digest, "here")
        rest = [digest for digest in sorted(self.sizes) if digest not in here]
        self.done = sum(size for digest, size in self.sizes.items() if digest in here)
        rest = self._lend(rest)
        self.records = self.home.folders()
        need = {digest: self.sizes[digest] for digest in rest}
        self.target.require_room(need | {"the snapshots' copies": _beside(self.records)}, "the store")
        with self.target.batch() as batch:
            for digest in rest:
                self._copy(digest, batch)
        self._prove()
        self._link()

    def _lend(self, digests: list[Digest]) -> list[Digest]:
        """Those that have to be copied."""
        left = []
        for digest in digests:
            self._tell(digest)
            try:
                lent = self.home.store.lend(self.target, digest, check=self.context.check)
            except (ArtifactNotFound, IntegrityError):
                self.lost.add(digest)
                continue
            if lent:
                self.ways[digest] = "linked"
                self.done += self.sizes[digest]
            else:
                left.append(digest)
        return left

    def _copy(self, digest: Digest, batch: Batch) -> None:
        self._tell(digest)
        size = self.sizes[digest]
        expect = Expected(sha256=digest, size=size, name=f"blob {digest.short}")
        try:
            if size <= SMALL:
                with self.home.store.stream(digest, 0, size, check=self.context.check) as stream:
                    batch.put(stream, expect=expect, on_bytes=self._took, check=self.context.check)
            else:
                self._receive(digest, expect)
        except (ArtifactNotFound, IntegrityError):
            self.lost.add(digest)
        else:
            self.ways[digest] = "copied"

    def _receive(self, digest: Digest, expect: Expected) -> None:
        check, buffer = self.context.check, memoryview(bytearray(_CHUNK))
        with self.target.receive(expect, check=check) as part:
            if part.record is not None:
                return
            self.done += part.size - sum(end - start for start, end in part.missing)
            for start, end in part.missing:
                offset = start
                with self.home.store.stream(digest, start, end, check=check) as stream:
                    while count := stream.readinto(buffer):
                        part.write(offset, buffer[:count])
                        offset += count
                        self._took(count)
            part.finish(check)

    def _prove(self) -> None:
        """What the new place has is right: by its proofs, else by hashing it."""
        wanted = [digest for digest in self.sizes if digest not in self.lost]
        try:
            self.target.verify(wanted, check=self.context.check)
        except (ArtifactNotFound, IntegrityError) as error:
            raise StoreUnavailable(
                f"the new place {self.target.uri} does not keep what it was given: {error.message}",
                hint="The old store is as it was. Look at the new place's disk, then move again.",
            ) from error

    def _link(self) -> None:
        for number, record in enumerate(self.records):
            self.context.progress("link", number, len(self.records), record.path, unit="files")
            vendor, _, name = record.repo.rpartition("/")
            files = {file.path: file.sha256 for file in record.files if file.sha256 in self._carried}
            made = self.target.link(vendor, name, record.commit, files, check=self.context.check)
            self.links[record.path] = {file.path: file.link for file in made.files}

    @property
    def _carried(self) -> set[Digest]:
        return self.sizes.keys() - self.lost

    def switch(self) -> bool:
        """Let the records lead to the new place; False when something came to the old one meanwhile."""
        old, new = self.home.ledger.key, self.ledger.key
        with self.context.begin() as tx:
            tx.moves.close(old, new)
            if holders := tx.moves.holders(old):
                raise _in_use(old.uri, holders)
            if tx.moves.snapshots(new):
                raise _taken(new.uri, "somebody has pulled into it meanwhile")
            came = tx.moves.present(old) - self._carried - self.lost
            if came or tx.snapshots.all(store=old) != self.records:
                return False
            tx.moves.switch(old, new, lost=self.lost, links=self.links)
        return True

    def report(self) -> StoreMove:
        """All of it."""
        here, linked, copied = (self._came(way) for way in ("here", "linked", "copied"))
        return StoreMove(
            source=self.home.ledger.key.uri,
            target=self.ledger.key.uri,
            here=len(here),
            here_bytes=sum(here),
            linked=len(linked),
            linked_bytes=sum(linked),
            copied=len(copied),
            copied_bytes=sum(copied),
            copied_files_bytes=_beside(self.records),
            snapshots=len(self.records),
            lost=tuple(sorted(self.lost)),
        )

    def _came(self, way: str) -> list[int]:
        """The sizes of the blobs that came so."""
        return [self.sizes[one] for one, its in self.ways.items() if its == way and one in self._carried]

    def _took(self, count: int) -> None:
        self.done += count
        self._tell("")

    def _tell(self, item: str) -> None:
        self.context.progress("move", self.done, sum(self.sizes.values()), item)


def _key(goal: Settings, old: StoreLedger) -> StoreKey:
    shared = scheme_of(goal.store) != "file"
    return StoreKey(goal.store, "" if shared else old.host)


def _beside(records: tuple[SnapshotRecord, ...]) -> int:
    return sum(copied_bytes((file.path, file.size) for file in one.files) for one in records)


def _in_use(uri: str, holders: tuple[str, ...]) -> InUse:
    shown = "; ".join(holders[:5]) + ("; …" if len(holders) > 5 else "")
    return InUse(
        f"the store {uri} is in use: {shown}",
        hint="Close the models, and let the jobs end or cancel them; then move it again.",
        holders=list(holders),
    )


def _taken(uri: str, why: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the store cannot be moved to {uri}: {why}",
        hint="Name an empty place, or one where a move was cut short.",
        store=uri,
        reason=why,
    )


def _look_into(uri: str, *, known: bool) -> None:
    """Refuse a folder with other things in it."""
    if scheme_of(uri) != "file" or not (root := root_of(uri)).is_dir():
        return
    others = sorted({path.name for path in root.iterdir()} - TOPS - {"lost+found"})
    if others:
        raise _taken(uri, f"it has {others[0]!r} in it, which is no store's")
    if not known and any(path.is_file() for path in (root / "blobs").rglob("*")):
        raise _taken(uri, "it has blobs that this database knows nothing of")


def _one_disk(old: str, new: str) -> bool:
    """Whether a blob may get a second name there."""
    if {scheme_of(old), scheme_of(new)} != {"file"}:
        return False
    above = root_of(new)
    while not above.exists():
        above = above.parent
    return above.stat().st_dev == (root_of(old) / "blobs").stat().st_dev
