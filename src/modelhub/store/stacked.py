"""A store that has others below it, which it only reads."""

import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

from modelhub.errors import IntegrityError
from modelhub.facts import BlobRecord, Snapshot, SnapshotFile, StoreCapabilities
from modelhub.refs import Digest, RepoPath
from modelhub.store.adopting import AdoptMode
from modelhub.store.base import Store
from modelhub.store.blobs import unproven
from modelhub.store.fsops import ALONE, Check, OnBytes, Watch
from modelhub.store.intake import ByteStream, Expected
from modelhub.store.inventory import Inventory
from modelhub.store.layout import LinkChoice
from modelhub.store.levels import Level
from modelhub.store.lower import Lower, LowerUnreadableError, Pauses
from modelhub.store.parts import Unfinished
from modelhub.store.ports import Batch, Part
from modelhub.store.reading import Stream
from modelhub.store.upkeep import DAY, WEEK

_log = logging.getLogger("modelhub.store")


class StackedStore(Store):
    """`upper`, where everything is written, and proven; what it lacks is brought from the first of
    `lowers` that has it right.

    A lower blob that was damaged or could not be read counts as absent for as long as this object lives.
    """

    def __init__(self, upper: Store, lowers: Sequence[Lower]) -> None:
        self._upper = upper
        self._lowers = tuple(lowers)
        self._pauses = Pauses()
        self._passed: set[tuple[str, Digest]] = set()

    @property
    def lower(self) -> tuple[Lower, ...]:
        return self._lowers

    @property
    def root(self) -> Path:
        return self._upper.root

    @property
    def uri(self) -> str:
        return self._upper.uri

    @property
    def capabilities(self) -> StoreCapabilities:
        return self._upper.capabilities

    def probe(self) -> str:
        return self._upper.probe()

    @property
    def link_mode(self) -> LinkChoice:
        return self._upper.link_mode

    def require_link_mode(self, mode: LinkChoice) -> None:
        self._upper.require_link_mode(mode)

    def free(self) -> int | None:
        return self._upper.free()

    def require_room(self, sizes: Mapping[str, int], what: str = "what is fetched") -> None:
        self._upper.require_room(sizes, what)

    def path(self, digest: Digest) -> Path:
        return self._upper.path(digest)

    # From below

    def _below(self, digests: Iterable[Digest]) -> dict[Digest, list[tuple[Lower, int]]]:
        """Which of the lower stores have these blobs, in their order, and of what size."""
        wanted = tuple(dict.fromkeys(digests))
        found: dict[Digest, list[tuple[Lower, int]]] = {}
        if not wanted:
            return found
        for lower in self._pauses.awake(self._lowers):
            asked = [digest for digest in wanted if (lower.uri, digest) not in self._passed]
            try:
                sizes = lower.looks(asked)
            except LowerUnreadableError as error:
                self._pauses.pause(lower)
                _log.warning("lower_unavailable", extra={"store": lower.uri, "reason": str(error)})
                continue
            for digest, size in sizes.items():
                found.setdefault(digest, []).append((lower, size))
        return found

    def _bring(self, digests: Iterable[Digest], watch: Watch = ALONE) -> frozenset[Digest]:
        """Let the upper store have what lower ones have right: those that it has now."""
        wanted = tuple(dict.fromkeys(digests))
        here = frozenset(self._upper.find(wanted))
        came = [
            digest
            for digest, places in self._below(set(wanted) - here).items()
            if any(self._take(lower, digest, size, watch) for lower, size in places)
        ]
        return here | frozenset(came)

    def _take(self, lower: Lower, digest: Digest, size: int, watch: Watch) -> bool:
        fields = {"store": lower.uri, "hash": digest}
        try:
            lower.give(digest, size, self._upper, watch)
        except IntegrityError as error:
            _log.warning("lower_damaged", extra=fields | {"reason": error.message})
        except LowerUnreadableError as error:
            _log.warning("lower_unavailable", extra=fields | {"reason": str(error)})
        else:
            return True
        self._passed.add((lower.uri, digest))
        return False

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        wanted = tuple(dict.fromkeys(digests))
        here = dict(self._upper.find(wanted))
        for digest, places in self._below(set(wanted) - here.keys()).items():
            here[digest] = unproven(digest, places[0][1])
        return {digest: here[digest] for digest in wanted if digest in here}

    def known(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        return self._upper.known(digests)

    def read(self, digest: Digest, limit: int) -> bytes:
        record = self.find([digest]).get(digest)
        if record is not None and record.size <= limit:
            self._bring([digest])
        return self._upper.read(digest, limit)

    def verify(
        self,
        digests: Iterable[Digest],
        level: Level = "proof",
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Mapping[Digest, BlobRecord]:
        wanted = tuple(dict.fromkeys(digests))
        self._bring(wanted, Watch.of(on_bytes, check))
        return self._upper.verify(wanted, level, on_bytes=on_bytes, check=check)

    def link(
        self,
        vendor: str,
        name: str,
        commit: str,
        files: Mapping[RepoPath, Digest],
        *,
        level: Level = "proof",
        link_mode: LinkChoice | None = None,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Snapshot:
        self._bring(files.values(), Watch.of(on_bytes, check))
        return self._upper.link(
            vendor,
            name,
            commit,
            files,
            level=level,
            link_mode=link_mode,
            on_bytes=on_bytes,
            check=check,
        )

    def export(
        self,
        folder: str | os.PathLike[str],
        files: Mapping[RepoPath, Digest],
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> tuple[SnapshotFile, ...]:
        self._bring(files.values(), Watch.of(on_bytes, check))
        return self._upper.export(folder, files, on_bytes=on_bytes, check=check)

    # Of the upper store alone

    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        return self._upper.put(stream, expect=expect, on_bytes=on_bytes, check=check)

    def adopt(
        self,
        path: str | os.PathLike[str],
        expect: Expected | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        mode: AdoptMode = "auto",
        trusted: bool = False,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        return self._upper.adopt(
            path, expect, root=root, mode=mode, trusted=trusted, on_bytes=on_bytes, check=check
        )

    def batch(self) -> AbstractContextManager[Batch]:
        return self._upper.batch()

    def receive(
        self, expect: Expected, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> AbstractContextManager[Part]:
        return self._upper.receive(expect, on_bytes=on_bytes, check=check)

    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        return self._upper.stale(before, limit)

    def recheck(
        self, digest: Digest, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> BlobRecord:
        return self._upper.recheck(digest, on_bytes=on_bytes, check=check)

    def remove(self, digest: Digest, confirm: Callable[[], bool]) -> bool:
        return self._upper.remove(digest, confirm)

    def remove_snapshot(self, path: str) -> bool:
        return self._upper.remove_snapshot(path)

    def parts(self) -> tuple[Unfinished, ...]:
        return self._upper.parts()

    def inventory(self) -> Inventory:
        return self._upper.inventory()

    def discard(self, path: str, *, older_than: float) -> bool:
        return self._upper.discard(path, older_than=older_than)

    def sweep(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> int:
        return self._upper.sweep(older_than, parts_older_than=parts_older_than)

    def left_over(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> tuple[str, ...]:
        return self._upper.left_over(older_than, parts_older_than=parts_older_than)

    def stream(
        self, digest: Digest, start: int, end: int, *, check: Check | None = None
    ) -> AbstractContextManager[Stream]:
        return self._upper.stream(digest, start, end, check=check)

    def lend(self, other: Store, digest: Digest, *, check: Check | None = None) -> bool:
        return self._upper.lend(other, digest, check=check)

    def erase(self) -> None:
        self._upper.erase()

    def close(self) -> None:
        for lower in self._lowers:
            lower.close()
        self._upper.close()
