"""Claims: what it costs to know that bytes are right.

- the second use of a verified file: at most 50 µs more than opening it bare, in a snapshot of 200 files whose
  proofs one query loads, on both kinds of ledger;
- hashing a whole file: at least 0.9 of what `hashlib` does with the same bytes, both from the page cache.
"""

import hashlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Claim, absolute, arguments, interleave, note, ratio, report

from modelhub.refs import Digest
from modelhub.registry import Registry, StoreLedger
from modelhub.store import Expected, FileLedger, Ledger, Store
from modelhub.store.proof import host_id

FILES = 200
SMALL = 100_000
LARGE = 512 << 20
PIECE = 8 << 20


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (20 if options.quick else 100)
    with tempfile.TemporaryDirectory() as folder:
        return report(measure(Path(folder), rounds, quick=options.quick), as_json=options.json)


def measure(folder: Path, rounds: int, *, quick: bool) -> Iterator[Claim]:
    for name, ledger in ledgers(folder):
        note(f"second use: {name}")
        with Store.open(folder / name / "store", ledger) as store:
            digests = [stored(store, SMALL, number) for number in range(FILES)]
            proved, bare = interleave(
                lambda s=store, d=digests: use(s, d), lambda s=store, d=digests: opened(s, d), rounds
            )
            more = [(a - b) / FILES * 1e6 for a, b in zip(proved, bare, strict=True)]
            yield absolute(f"second use of a file, {name}", more, 50.0, "µs more than open()")
    size = LARGE // 4 if quick else LARGE
    note(f"hashing {size >> 20} MiB")
    with Store.open(folder / "whole", FileLedger(folder / "whole.jsonl")) as store:
        digest = stored(store, size, 0)
        ours, theirs = interleave(
            lambda: size / 1e6 / full(store, digest),
            lambda: size / 1e6 / plain(store.path(digest)),
            max(9, rounds // 10),
        )
        yield ratio("hashing a whole file, beside hashlib", ours, theirs, 0.9, "MB/s")


def ledgers(folder: Path) -> Iterator[tuple[str, Ledger]]:
    yield "file", FileLedger(folder / "ledger.jsonl")
    registry = Registry.open(f"sqlite:///{folder}/modelhub.db")
    yield "sqlite", StoreLedger(registry, "file:///benchmark", host=host_id())
    registry.close()


class Pieces:
    """A stream of so many bytes, other ones for another seed."""

    def __init__(self, size: int, seed: int) -> None:
        self._left = size
        self._piece = hashlib.shake_128(b"%d" % seed).digest(1 << 20)

    def readinto(self, buffer: memoryview, /) -> int:
        count = min(self._left, len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._left -= count
        return count


def stored(store: Store, size: int, seed: int) -> Digest:
    return store.put(Pieces(size, seed), expect=Expected(size=size)).digest


def use(store: Store, digests: list[Digest]) -> float:
    began = time.perf_counter()
    store.verify(digests)
    spent = time.perf_counter() - began
    return spent + opened(store, digests)


def opened(store: Store, digests: list[Digest]) -> float:
    paths = [store.path(digest) for digest in digests]
    began = time.perf_counter()
    for path in paths:
        os.close(os.open(path, os.O_RDONLY))
    return time.perf_counter() - began


def full(store: Store, digest: Digest) -> float:
    began = time.perf_counter()
    store.verify([digest], "full")
    return time.perf_counter() - began


def plain(path: Path) -> float:
    began = time.perf_counter()
    sha, buffer = hashlib.sha256(), memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            sha.update(buffer[:count])
    sha.hexdigest()
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
