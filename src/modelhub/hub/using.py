"""Counts what the store has, by who has it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from modelhub.facts import ComponentUsage, RepoRecord, RepoUsage, Usage
from modelhub.hub.resolve import Resolver
from modelhub.refs import ModelRef
from modelhub.registry import Has, Registry, StoreKey
from modelhub.store import Store


@dataclass(frozen=True, slots=True)
class Accountant:
    """Adds up one store."""

    registry: Registry
    resolver: Resolver
    store: Store
    place: StoreKey
    quota: int | None

    def usage(self, ref: ModelRef | None) -> Usage:
        """What the store holds; of all repositories, or of one.

        Raises:
            RepositoryNotFound
        """
        record = None if ref is None else self.resolver.registered(ref, forgotten=True)
        seen = self.store.inventory()
        with self.registry.read() as tx:
            has = tuple(tx.stored.by_repo(self.place))
            parts = _by_repo(tx.stored.by_component(self.place))
            used = tx.stored.last_used(self.place)
            files, size = tx.stored.total(self.place)
            records = {one.id: (one, gone) for one, gone in tx.repos.every()}
        counts = Counter(one.artifact for one in has)
        repos = [
            _repo(*records[number], mine, parts.get(number, ()), counts, used)
            for number, mine in _by_repo(has).items()
            if record is None or record.id == number
        ]
        stored = sum({one.artifact: one.size for one in has}.values())
        return Usage(
            store=self.store.uri,
            files=files,
            bytes=size,
            used=stored,
            saved=sum(one.size for one in has) - stored,
            repos=tuple(sorted(repos, key=lambda one: (-one.bytes, one.repo, one.source))),
            copies=sum(one.size for one in seen.folders),
            parts=sum(one.disk for one in seen.parts),
            quarantine=sum(one.size for one in seen.quarantine),
            disk=seen.disk,
            free=self.store.free(),
            quota=self.quota,
            lower=tuple(one.uri for one in self.store.lower),
        )


def _by_repo(has: Iterable[Has]) -> dict[int, list[Has]]:
    found: dict[int, list[Has]] = {}
    for one in has:
        found.setdefault(one.repo, []).append(one)
    return found


def _repo(
    record: RepoRecord,
    forgotten: bool,
    mine: Iterable[Has],
    parts: Iterable[Has],
    counts: Mapping[int, int],
    used: Mapping[int, datetime],
) -> RepoUsage:
    sizes = {one.artifact: one.size for one in mine}
    components: dict[str, dict[int, int]] = {}
    for one in parts:
        components.setdefault(one.component, {})[one.artifact] = one.size
    return RepoUsage(
        repo=record.repo.id,
        source=record.repo.source,
        forgotten=forgotten,
        pinned=record.pinned,
        files=len(sizes),
        bytes=sum(sizes.values()),
        own=sum(size for number, size in sizes.items() if counts[number] == 1),
        components=tuple(
            ComponentUsage(name=name, files=len(each), bytes=sum(each.values()))
            for name, each in sorted(components.items())
        ),
        last_used=max((used[number] for number in sizes if number in used), default=None),
    )
