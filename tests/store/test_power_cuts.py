"""The power is cut at every moment, and what was not durable is lost, torn or zero in every combination."""

import random
import sys
from unittest import mock

import pytest

from modelhub.errors import IntegrityError
from modelhub.refs import RepoPath
from modelhub.store import ledger as ledgers
from modelhub.store.fsops import FsOps

from .power.cuts import DIGESTS, FILES, HERE, Bench, PowerCuts, Promises, promised
from .power.disk import Disk

CONFIG, MODEL, ONNX = (RepoPath(path) for path in FILES)


def publish(disk):
    """The first files of a new store."""
    disk.settle()
    bench = Bench(disk)
    bench.put()
    bench.put(MODEL)
    bench.close()


def _prepared(disk, *, linked=False):
    bench = Bench(disk)
    bench.put()
    if linked:
        bench.link()
    sure = promised(Promises(), disk.log)
    disk.settle()
    return bench, sure


def link(disk):
    """A snapshot, in two steps."""
    bench, sure = _prepared(disk)
    bench.link(MODEL)
    bench.link()
    bench.close()
    return sure


def link_again(disk):
    """A snapshot of which somebody edited one file and deleted another."""
    bench, sure = _prepared(disk, linked=True)
    folder = bench.disk.tree
    names = {path: inode for path, inode in folder.walk() if path.startswith(HERE)}
    names[f"{HERE}/{CONFIG}"].data = FILES[CONFIG]
    del names[HERE].names[str(MODEL)]
    sure.files[f"{HERE}/{MODEL}"] = None
    disk.settle()
    bench.link()
    bench.close()
    return sure


def link_without_hard_links(disk):
    """The same where the file system has neither hard links nor shared blocks."""
    disk.hardlinks = disk.reflinks = False
    return link(disk)


def publish_without_hard_links(disk):
    disk.hardlinks = False
    publish(disk)


def set_aside(disk):
    """A blob that the disk spoilt is found, set aside and fetched again."""
    bench, sure = _prepared(disk, linked=True)
    bench.spoil(MODEL)
    disk.settle()
    sure.blobs[DIGESTS[MODEL]] = sure.files[f"{HERE}/{MODEL}"] = None
    sure.spoilt = 1
    with pytest.raises(IntegrityError):
        bench.store.verify([DIGESTS[MODEL]], "full")
    bench.put(MODEL)
    bench.close()
    return sure


def remove(disk):
    """A snapshot and its blobs go."""
    bench, sure = _prepared(disk, linked=True)
    bench.remove_snapshot()
    for path in FILES:
        bench.remove(path)
    bench.close()
    return sure


def sweep(disk):
    """What dead writers left is removed, while a writer lives."""
    bench, sure = _prepared(disk)
    for number in range(3):
        fd = disk.open(f"put.{number}", 0o102, dir_fd=bench.store._folders.tmp)
        disk.pwrite(fd, memoryview(b"half"), 0)
        disk.close(fd)
    disk.settle()
    bench.store.sweep(older_than=-10, parts_older_than=-10)
    bench.put(MODEL)
    bench.close()
    return sure


def receive(disk):
    """A file that comes in ranges, with an interruption."""
    disk.settle()
    bench = Bench(disk)
    bench.receive(MODEL, 2, 6)
    bench.receive(MODEL, 0)
    bench.close()


def rewrite_the_ledger(disk):
    bench, sure = _prepared(disk)
    with mock.patch.object(ledgers, "_WORTH_REWRITING", 2):
        for _ in range(6):
            bench.ledger.record(bench.ledger.find([DIGESTS[MODEL]]).values())
            bench.put(CONFIG)
    bench.close()
    return sure


SCENARIOS = [
    publish,
    publish_without_hard_links,
    link,
    link_again,
    link_without_hard_links,
    set_aside,
    remove,
    sweep,
    receive,
    rewrite_the_ledger,
]


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_whatever_a_power_cut_leaves_is_right(scenario, rounds, tally):
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    cuts = PowerCuts(scenario, limit=rounds(12, 600), seed=seed)
    counts = cuts.check()
    sys.stdout.write(f"{dict(counts)}\n")
    assert counts["states"] > 5
    tally(rounds=counts["moments"], injected=counts["outcomes"], repaired=counts["outcomes"])


class Forgetful(Disk):
    """A disk to which some flushes never come: the bug that the harness is there to find."""

    def fsync(self, fd):
        if not self.forgets(self._inode(fd)):
            super().fsync(fd)

    def fdatasync(self, fd):
        if not self.forgets(self._inode(fd)):
            super().fdatasync(fd)


def _is_file(inode):
    return not inode.is_folder


def _has(part):
    """Folders in which a name has `part` in it."""
    return lambda inode: any(part in name for name in inode.names)


@pytest.mark.parametrize(
    ("scenario", "forgets", "says"),
    [
        pytest.param(publish, _is_file, "I1", id="the bytes, before they get their name"),
        pytest.param(receive, _is_file, "I1", id="bytes that came in ranges"),
        pytest.param(publish, _has(DIGESTS[MODEL]), "I3", id="the name of a blob"),
        pytest.param(publish, _has(DIGESTS[MODEL][:2]), "I3", id="the name of the first digits' folder"),
        pytest.param(publish, _has("store"), "I3", id="the name of the store's folder"),
        pytest.param(publish, _has("disk"), "I3", id="the name of the folder that it is in"),
        pytest.param(link_without_hard_links, _is_file, "I2", id="the bytes of a copy"),
        pytest.param(link, _has("model.gguf"), "I2", id="the names in a snapshot"),
        pytest.param(link, _has("config.json"), "I2", id="the names in the other one"),
        pytest.param(set_aside, _has(DIGESTS[MODEL]), "I3", id="the name of a blob that came anew"),
        pytest.param(remove, lambda inode: inode.is_folder, "I3", id="that a blob was deleted"),
    ],
)
def test_a_flush_that_is_left_out_is_found(scenario, forgets, says):
    disk = type("Forgetting", (Forgetful,), {"forgets": staticmethod(forgets)})
    with pytest.raises(AssertionError, match=says):
        PowerCuts(scenario, disk=disk, limit=40, seed=1).check()


def test_an_operation_of_the_store_that_the_disk_does_not_know_is_noticed():
    ours = {name for name in vars(FsOps) if not name.startswith("_")}
    assert ours <= {name for name in vars(Disk) if not name.startswith("_")}
