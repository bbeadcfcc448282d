"""Keeps a store within its quota: what was used longest ago makes room for what comes."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from modelhub.errors import StoreFull
from modelhub.facts.base import human_bytes
from modelhub.hub.deleting import delete_blob
from modelhub.refs import Digest
from modelhub.registry import Evictable, Registry, StoreKey, Transaction
from modelhub.store import Store

log = logging.getLogger(__name__)

LOW = 0.9
"""The share of the quota that is left full after an eviction, so that not every fetch evicts."""


def choose(
    candidates: Sequence[Evictable], users: Mapping[Digest, AbstractSet[int]], excess: int, enough: int
) -> tuple[list[Evictable], int]:
    """Which to evict, in their order, until `enough` bytes are free, and how many that frees.

    A file is free when all that have it go. Nothing is chosen where `excess` bytes cannot be freed.
    """
    chosen: list[Evictable] = []
    gone: set[int] = set()
    files: dict[Digest, int] = {}
    freed = 0
    for one in candidates:
        if freed >= enough:
            break
        chosen.append(one)
        gone.add(one.repo)
        files |= one.files
        freed = sum(size for digest, size in files.items() if users.get(digest, set()) <= gone)
    return (chosen, freed) if freed >= excess else ([], freed)


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `limit` bytes in a store, or as many as come where it is `None`."""

    registry: Registry
    store: Store
    place: StoreKey
    limit: int | None

    def make_room(self, what: str, need: int, keep: Iterable[Digest]) -> None:
        """Evict until `need` more bytes fit; none of `keep`, nothing that is held, nobody's records.

        Raises:
            StoreFull: with the arithmetic, when that is not enough. Nothing was evicted then.
        """
        if self.limit is None or not need:
            return
        wanted = set(keep)
        with self.registry.read() as tx:
            stored = tx.stored.total(self.place)[1] + tx.stored.copies(self.place)
            stored += sum(part.size for part in self.store.parts() if part.digest not in wanted)
            if (excess := stored + need - self.limit) <= 0:
                return
            users = tx.evictions.users(self.place)
            candidates = [
                one for one in tx.evictions.candidates(self.place) if not wanted & one.files.keys()
            ]
        enough = excess + round(self.limit * (1 - LOW))
        chosen, freed = choose(candidates, users, excess, enough)
        if not chosen:
            raise self._full(what, need, stored, freed)
        for one in chosen:
            self._evict(one)

    def _evict(self, one: Evictable) -> None:
        with self.registry.begin() as tx:
            folders, files = tx.evictions.evict(one.repo, self.place)
            for folder in folders:
                self.store.remove_snapshot(folder)
        gone = [digest for digest in files if self._delete(digest)]
        size = sum(one.files[digest] for digest in gone)
        log.info("repo_evicted", extra={"model_repo_name": one.name, "bytes": size, "files": len(gone)})

    def _delete(self, digest: Digest) -> bool:
        def confirm(tx: Transaction) -> bool:
            return tx.evictions.confirm(digest, self.place)

        return delete_blob(self.registry, self.store, self.place, digest, confirm)

    def _full(self, what: str, need: int, stored: int, freed: int) -> StoreFull:
        limit = self.limit or 0
        return StoreFull(
            f"{what} needs {human_bytes(need)}; the store holds {human_bytes(stored)} of its quota of "
            f"{human_bytes(limit)}, and {human_bytes(freed)} of that could go: "
            f"{human_bytes(stored + need - freed - limit)} are missing",
            hint="Purge what you do not need, close models that are loaded, or set a larger store_quota.",
            need=need,
            stored=stored,
            quota=limit,
            evictable=freed,
        )
