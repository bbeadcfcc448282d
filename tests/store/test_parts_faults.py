"""Parts on file systems that fail, fill up, or cannot lock."""

import contextlib
import errno
import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.errors import IntegrityError, StoreFull, StoreUnavailable
from modelhub.refs import Digest
from modelhub.store import Store
from modelhub.store.fsops import FsOps
from modelhub.store.parts import Grain
from modelhub.store.parts.reservations import part_name
from modelhub.store.testing import pattern, promise

from .faulty import each_fails_once
from .hands import blob, flip, names, sha256
from .ranges import fill, go_on

BLOCK = 16 << 10
DATA = pattern(5 * BLOCK + 7, 5)
DIGEST = Digest.of(DATA)
SMALL = [pattern(100 + number, number) for number in range(3)]


@contextlib.contextmanager
def opened(root, ledger, ops=None):
    with Store.open(root, ledger, ops=ops) as store:
        store._parts.grain = Grain(block=BLOCK, checkpoint=2 * BLOCK)
        yield store


def work(root, ledger, ops):
    """All that happens to a part: begun, gone on with, whole, damaged, repaired."""
    with opened(root, ledger, ops) as store:
        with store.receive(promise(DATA)) as part:
            fill(part, part.missing and [(0, BLOCK), (2 * BLOCK, 4 * BLOCK)], data=DATA)
        store.parts()
        with store.receive(promise(DATA)) as part:
            fill(part, data=DATA)
            part.finish(go_on)
        flip(blob(store, DIGEST), at=3 * BLOCK)
        with contextlib.suppress(IntegrityError):
            store.verify([DIGEST], "full")
        with store.receive(promise(DATA)) as part:
            fill(part, data=DATA)
            part.finish(go_on)
        with store.batch() as batch:
            for data in SMALL:
                batch.put(io.BytesIO(data), expect=promise(data))
        store.sweep(older_than=-60, parts_older_than=-60)


def wrong(root):
    """The blobs that have other bytes than their name says."""
    found = [os.path.join(at, name) for at, _, here in os.walk(root / "blobs") for name in here]  # noqa: PTH118
    return [path for path in found if sha256(path) != os.path.basename(path)]  # noqa: PTH119


def audit(root, *, whole):
    if whole:
        assert wrong(root) == []
        assert names(root / "tmp") == []
    # The test itself damages the blob; a store that failed just then has not looked yet.
    assert {os.path.basename(path) for path in wrong(root)} <= {DIGEST}  # noqa: PTH119


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC])
def test_one_operation_fails(folder, code, tally):
    failed, refused, _ = each_fails_once(folder, code, work, audit, tally)
    assert refused > 50
    assert failed >= {
        "truncate",
        "fdatasync",
        "pwrite",
        "fsync",
        "copy_range",
        "link",
        "rename",
        "pread",
    }


class NoLocks(FsOps):
    """A file system that knows no locks."""

    def try_lock(self, fd):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))


class Lies(FsOps):
    """A file system that gives a lock to everybody who asks."""

    def try_lock(self, fd):
        return True


@pytest.fixture(params=[NoLocks, Lies])
def lockless(request, tmp_path, ledger):
    with opened(tmp_path / "store", ledger, request.param()) as store:
        yield store


def tmp_part(store, end=""):
    return store.root / "tmp" / (part_name(DIGEST, store._blobs.host) + end)


def test_two_hosts_never_share_a_file(tmp_path, ledger):
    """Locks may hold for one host alone, and seem well there."""
    root = tmp_path / "store"
    with Store.open(root, ledger, host="a/b") as one, Store.open(root, ledger, host="c") as two:
        one._parts.grain = two._parts.grain = Grain(block=BLOCK, checkpoint=BLOCK)
        with one.receive(promise(DATA)) as right, two.receive(promise(DATA)) as wrong:
            fill(right, [(0, 3 * BLOCK)], data=DATA)
            fill(wrong, data=bytes(len(DATA)))
            fill(right, data=DATA)
            right.finish(go_on)
            with pytest.raises(IntegrityError):
                wrong.finish(go_on)
        assert blob(one, DIGEST).read_bytes() == DATA


def test_a_part_that_another_removed_is_no_loss_once_the_blob_is_here(lockless):
    with lockless.receive(promise(DATA)) as one, lockless.receive(promise(DATA)) as two:
        fill(one, data=DATA)
        fill(two, data=DATA)
        record = one.finish(go_on)
        for left in (lockless.root / "tmp").glob("*.part"):
            left.unlink()
        assert two.finish(go_on) == record


def test_without_locks_two_writers_never_share_a_file(lockless):
    with lockless.receive(promise(DATA)) as one, lockless.receive(promise(DATA)) as two:
        assert len([name for name in names(lockless.root / "tmp") if name.endswith(".part")]) == 2
        fill(one, [(0, 3 * BLOCK)], data=DATA)
        assert two.missing == ((0, len(DATA)),)
        fill(two, data=bytes(len(DATA)))
        fill(one, data=DATA)
        record = one.finish(go_on)
        with pytest.raises(IntegrityError):
            two.finish(go_on)
    assert blob(lockless, DIGEST).read_bytes() == DATA
    assert lockless.verify([DIGEST], "full")[DIGEST].size == record.size
    assert names(lockless.root / "tmp") == []


def test_without_locks_both_may_finish(lockless):
    with lockless.receive(promise(DATA)) as one, lockless.receive(promise(DATA)) as two:
        fill(one, data=DATA)
        fill(two, data=DATA)
        assert one.finish(go_on) == two.finish(go_on)
    assert names(lockless.root / "tmp") == []


def test_without_locks_an_interruption_keeps_what_is_good(lockless):
    with lockless.receive(promise(DATA)) as part:
        fill(part, [(0, 3 * BLOCK)], data=DATA)
    assert names(lockless.root / "tmp") == [tmp_part(lockless).name, tmp_part(lockless, ".blocks").name]
    with lockless.receive(promise(DATA)) as part:
        assert part.missing == ((3 * BLOCK, len(DATA)),)
        with lockless.receive(promise(DATA)) as other:
            assert other.missing == ((0, len(DATA)),)
        fill(part, data=DATA)
        part.finish(go_on)
    assert blob(lockless, DIGEST).read_bytes() == DATA
    assert lockless.sweep(older_than=-60, parts_older_than=-60) == 0
    assert names(lockless.root / "tmp") == []


def test_without_locks_a_removal_leaves_the_parts_of_those_who_may_live(lockless):
    with lockless.receive(promise(DATA)) as part:
        fill(part, [(0, 3 * BLOCK)], data=DATA)
        assert lockless.remove(DIGEST, lambda: True)
        fill(part, data=DATA)
        part.finish(go_on)
    assert blob(lockless, DIGEST).read_bytes() == DATA


@pytest.fixture
def tight(tmpfs, ledger):
    """A store on a disk of one MiB."""
    with opened(tmpfs("small", 1 << 20), ledger) as store:
        yield store


def test_a_part_reserves_its_room(tight):
    first, second = pattern(600_000, 1), pattern(600_000, 2)
    with tight.receive(promise(first)) as part:
        refused = pytest.raises(StoreFull, match=r"second needs 600 kB.*being received.*missing")
        with refused as caught, tight.receive(promise(second, "second")):
            pass
        assert caught.value.details["reserved"] >= 590_000
        with pytest.raises(StoreFull):
            tight.put(io.BytesIO(second), expect=promise(second))
        fill(part, [(0, BLOCK * 4)], data=first)
    # Who does not live any more reserves nothing.
    with tight.receive(promise(second)) as part:
        fill(part, data=second)
        part.finish(go_on)
    with pytest.raises(StoreFull), tight.receive(promise(first)):
        pass
    tight.remove(Digest.of(second), lambda: True)
    with tight.receive(promise(first)) as part:
        assert part.missing[0].start == BLOCK * 4
        fill(part, data=first)
        part.finish(go_on)
    assert sha256(tight.path(Digest.of(first))) == Digest.of(first)


def test_a_disk_that_fills_up_keeps_what_is_good(tight):
    data = pattern(600_000, 1)
    filler = tight.root / "filler"

    def run():
        with tight.receive(promise(data, "model.gguf")) as part:
            fill(part, [(0, 10 * BLOCK)], data=data)
            filler.write_bytes(bytes(tight.free()))
            fill(part, data=data)

    with pytest.raises(StoreFull, match=r"model\.gguf needs"):
        run()
    filler.unlink()
    with tight.receive(promise(data)) as part:
        assert part.missing == ((10 * BLOCK, len(data)),)
        fill(part, data=data)
        part.finish(go_on)
    assert sha256(tight.path(Digest.of(data))) == Digest.of(data)
    assert names(tight.root / "tmp") == []


class Forgets(FsOps):
    """A system that drops what it could not flush, and then says that all is well."""

    def __init__(self):
        self.fail = {}

    def fdatasync(self, fd):
        if error := self.fail.pop("fdatasync", None):
            raise OSError(error, os.strerror(error))
        super().fdatasync(fd)

    def fsync(self, fd):
        if error := self.fail.pop("fsync", None):
            raise OSError(error, os.strerror(error))
        super().fsync(fd)


@pytest.mark.parametrize("call", ["fdatasync", "fsync"])
def test_a_flush_that_failed_is_not_believed_when_it_is_tried_again(tmp_path, ledger, call):
    ops = Forgets()

    def run():
        with store.receive(promise(DATA)) as part:
            fill(part, data=DATA)
            ops.fail[call] = errno.EIO
            for _ in range(2):
                with pytest.raises(StoreUnavailable, match="cannot write"):
                    part.finish(go_on)

    with opened(tmp_path / "store", ledger, ops) as store:
        store._parts.grain = Grain(block=BLOCK)  # nothing is durable before the end
        with pytest.raises(StoreUnavailable):
            run()
        assert not store.present([DIGEST])
        with store.receive(promise(DATA)) as part:
            assert part.missing == ((0, len(DATA)),)
            fill(part, data=DATA)
            part.finish(go_on)
    assert blob(store, DIGEST).read_bytes() == DATA


def test_a_checkpoint_that_fails_is_told_to_who_writes(tmp_path, ledger):
    ops = Forgets()
    with opened(tmp_path / "store", ledger, ops) as store:

        def run():
            with store.receive(promise(DATA)) as part:
                ops.fail["fdatasync"] = errno.EIO
                fill(part, [(0, 2 * BLOCK)], data=DATA)
                part._checkpoints.stop()
                fill(part, [(2 * BLOCK, 3 * BLOCK)], data=DATA)

        with pytest.raises(StoreUnavailable, match="cannot write"):
            run()


class Slow(FsOps):
    """A disk that takes its time for a write."""

    def __init__(self):
        self.started, self.go = threading.Event(), threading.Event()
        self.go.set()

    def pwrite(self, fd, data, offset):
        self.started.set()
        assert self.go.wait(30)
        return super().pwrite(fd, data, offset)


def test_a_part_is_closed_only_when_nobody_writes(tmp_path, ledger):
    """Another file may have its descriptor right after."""
    ops = Slow()
    with opened(tmp_path / "store", ledger, ops) as store, ThreadPoolExecutor(2) as pool:
        with store.receive(promise(DATA)) as part:
            ops.started.clear()
            ops.go.clear()
            writing = pool.submit(part.write, 0, memoryview(DATA)[:BLOCK])
            assert ops.started.wait(30)
            closing = pool.submit(part.close)
            with pytest.raises(TimeoutError):
                closing.result(0.1)
            ops.go.set()
            closing.result(30)
            writing.result(0)
        with store.receive(promise(DATA)) as part:
            assert part.missing == ((BLOCK, len(DATA)),)


def test_what_a_part_has_needs_no_room_again(tight):
    data = pattern(600_000, 1)
    with tight.receive(promise(data)) as part:
        fill(part, [(0, 36 * BLOCK)], data=data)
    others = {Digest.of(data): len(data), "0" * 64: 400_000}
    tight.require_room(others)
    with pytest.raises(StoreFull, match="missing"):
        tight.require_room(others | {"1" * 64: 100_000})
