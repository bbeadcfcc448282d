"""Cuts a store's power at every moment of some work, in every way, and looks at what is left.

A scenario prepares a disk, works on it, and says with `disk.promise` what is sure from then on. Each state
that a cut may leave is audited by hand (no part of the store takes part in that), then opened and used
as if nothing had been.
"""

import hashlib
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from modelhub.errors import IntegrityError
from modelhub.facts import BlobState
from modelhub.refs import Digest, RepoPath
from modelhub.store import FileLedger, Store
from modelhub.store.parts import Grain
from modelhub.store.testing import COMMIT, Dribble, pattern, promise

from .disk import Disk
from .history import after_cut, loose, outcomes

BLOCK = 10_000
ROOT, LEDGER = "/disk/store", "/disk/ledger.jsonl"
FILES = {
    RepoPath("config.json"): b'{"model_type": "llama"}',
    RepoPath("model.gguf"): pattern(70_000),
    RepoPath("onnx/model.onnx"): pattern(66_000, 1),
}
DIGESTS = {path: Digest.of(data) for path, data in FILES.items()}
HERE = f"{ROOT}/snapshots/v/n/{COMMIT}"


@dataclass
class Promises:
    """What a scenario may rely on: blobs by digest (here or gone), snapshot files by path."""

    blobs: dict[str, bool] = field(default_factory=dict)
    files: dict[str, bool] = field(default_factory=dict)
    spoilt: int = 0


class Bench:
    """A store on a disk in memory, and the words that scenarios are written in."""

    def __init__(self, disk):
        self.disk = disk
        self.ledger = FileLedger(LEDGER, ops=disk)
        self.store = Store.open(ROOT, self.ledger, ops=disk, clock=disk.clock, host="here")
        self.store._parts.grain = Grain(BLOCK, 2 * BLOCK)

    def promise(self, **news):
        self.disk.promise(news)

    def put(self, *paths, step=30_000):
        for path in paths or FILES:
            data = FILES[RepoPath(path)]
            self.store.put(Dribble(data, step), expect=promise(data, path))
            self.promise(blobs={Digest.of(data): True})

    def receive(self, path, first, last=None):
        """Take a file in ranges, as far as it is missing: blocks from `first` up to `last`."""
        data = memoryview(FILES[RepoPath(path)])
        with self.store.receive(promise(data, path)) as part:
            for start, end in part.missing:
                begin, stop = (
                    max(start, first * BLOCK),
                    min(end, len(data) if last is None else last * BLOCK),
                )
                for at in range(begin, stop, BLOCK // 2):
                    part.write(at, data[at : min(at + BLOCK // 2, stop)])
            if not part.missing:
                part.finish(lambda: None)
                self.promise(blobs={Digest.of(data): True})

    def link(self, *paths):
        wanted = {path: digest for path, digest in DIGESTS.items() if not paths or path in paths}
        self.store.link("v", "n", COMMIT, wanted)
        self.promise(files={f"{HERE}/{path}": True for path in wanted})

    def remove(self, path):
        self.promise(blobs={DIGESTS[path]: None})
        assert self.store.remove(DIGESTS[path], lambda: True)
        self.promise(blobs={DIGESTS[path]: False})

    def remove_snapshot(self):
        self.promise(files=dict.fromkeys((f"{HERE}/{path}" for path in FILES), None))
        assert self.store.remove_snapshot(f"snapshots/v/n/{COMMIT}")

    def spoil(self, path):
        """A disk that loses a bit of a blob; what was promised of it is void."""
        inode = next(one for name, one in self.disk.tree.walk() if name.endswith(f"/{DIGESTS[path]}"))
        inode.data = inode.data[:10] + bytes([inode.data[10] ^ 1]) + inode.data[11:]

    def close(self):
        self.store.close()
        self.ledger.close()
        assert not self.disk.open_files


def promised(start, log):
    """The promises that hold at the end of `log`."""
    sums = Promises(dict(start.blobs), dict(start.files), start.spoilt)
    for op in log:
        news = getattr(op, "promise", {})
        sums.blobs.update(news.get("blobs", {}))
        sums.files.update(news.get("files", {}))
        sums.spoilt += news.get("spoilt", 0)
    return sums


def audit(tree, sure):
    """Compare a disk with the invariants and with what was promised."""
    here = dict(tree.walk())
    blobs = {path.rpartition("/")[2]: path for path in here if _is_blob(path, here[path])}
    for digest, path in blobs.items():
        if not sure.spoilt:
            assert _sha256(here[path]) == digest, f"I1: {path} has other bytes"
    for path, inode in here.items():
        if path.startswith(f"{HERE}/") and not inode.is_folder and not sure.spoilt:
            whole = FILES[RepoPath(path.removeprefix(f"{HERE}/"))]
            assert _seen(tree, path, inode) in {whole, None}, f"I2: {path} is not whole"
    for digest, must in sure.blobs.items():
        assert must is None or must == (digest in blobs), (
            f"I3: {digest} is {(must and 'lost') or 'back'}"
        )
    for path, must in sure.files.items():
        assert not must or path in here, f"I2: {path} was linked and is gone"


def _is_blob(path, inode):
    return path.startswith(f"{ROOT}/blobs/sha256/") and not inode.is_folder


def _sha256(inode):
    return hashlib.sha256(inode.data).hexdigest()


def _seen(tree, path, inode):
    """What a program reads at `path`; nothing where a link leads nowhere."""
    if inode.mode & 0o170000 != 0o120000:
        return inode.data
    parts = path.split("/")[1:-1]
    for part in inode.data.decode().split("/"):
        parts = parts[:-1] if part == ".." else [*parts, part]
    target = dict(tree.walk()).get("/" + "/".join(parts))
    return target and target.data


def use(tree, now, sure):
    """The next use of what a cut left: nothing is in its way, and nothing wrong comes out."""
    disk = Disk(tree, now)
    bench = Bench(disk)
    here = bench.store.present(DIGESTS.values())
    if not sure.spoilt:
        assert {one for one, must in sure.blobs.items() if must} <= here
        assert set(bench.store.verify(here)) == here
    else:
        with suppress(IntegrityError):
            bench.store.verify(here, "full")
    for path in FILES:
        bench.receive(path, 0)
    bench.link()
    bench.store.sweep(older_than=-10, parts_older_than=-10)
    assert bench.store.verify(DIGESTS.values(), "full").keys() == set(DIGESTS.values())
    assert all(r.state is BlobState.PRESENT for r in bench.ledger.find(DIGESTS.values()).values())
    bench.close()
    left = dict(disk.tree.walk())
    audit(disk.tree, Promises(dict.fromkeys(DIGESTS.values(), True)))
    for path, data in FILES.items():
        assert _seen(disk.tree, f"{HERE}/{path}", left[f"{HERE}/{path}"]) == data
    assert not [path for path in left if path.startswith(f"{ROOT}/tmp/")]
    aside = [path for path in left if path.startswith(f"{ROOT}/quarantine/")]
    assert len(aside) <= sure.spoilt, f"right bytes were set aside: {aside}"


class PowerCuts:
    """All that power cuts may make of one scenario. `counts` tells how much was looked at.

    `limit` bounds the outcomes of one moment: all of them where they are fewer, else a sample.
    """

    def __init__(self, scenario, *, disk=Disk, limit, seed):
        self.draw = random.Random(seed)
        self.limit = limit
        self.counts = Counter()
        self.seen = set()
        self.disk = disk()
        self.sure = scenario(self.disk) or Promises()
        self.log = self.disk.log

    def check(self):
        """Look at every moment; an `AssertionError` says what a cut would have broken, and where."""
        for end in range(len(self.log) + 1):
            self.counts["moments"] += 1
            self._cut(self.log[:end])
        return self.counts

    def _cut(self, log):
        unsure = loose(log)
        sure = promised(self.sure, log)
        for fates in outcomes([log[index] for index in unsure], self.draw, self.limit):
            tree = after_cut(self.disk.start, log, dict(zip(unsure, fates, strict=True)))
            self.counts["outcomes"] += 1
            state = hash((tree.signature(), repr(sure)))
            if state in self.seen:
                continue
            self.seen.add(state)
            self.counts["states"] += 1
            try:
                audit(tree, sure)
                use(tree, self.disk.now, sure)
            except Exception as error:
                undone = [
                    f"{fate.value}: {_brief(log[index])}"
                    for index, fate in zip(unsure, fates, strict=True)
                ]
                where = f"after {len(log)} operations, the last {_brief(log[-1])}" if log else "at first"
                error.add_note(
                    f"the power was cut {where}; what was not durable:\n  " + "\n  ".join(undone)
                )
                raise


def _brief(op):
    text = repr(op)
    return text if len(text) < 160 else f"{text[:100]}…{text[-50:]}"
