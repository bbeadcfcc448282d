"""`hub.store.check`: whatever hands and disks did to a store is told, repaired, and never made worse."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from modelhub.errors import DeadlineExceeded
from modelhub.facts import FaultKind, StoreCheck
from modelhub.jobs.owners import me
from modelhub.refs import Digest
from modelhub.registry import FetchClaims
from modelhub.store.fsops import FsOps
from modelhub.store.testing import put
from tests.store.hands import flip

from .conftest import MODEL
from .hands import end_checks_early


@pytest.fixture
def root(hub):
    return Path(hub.settings.home) / "store"


@pytest.fixture
def snapshot(hub, server):
    found = hub.pull(f"{MODEL}:q4_0")
    server.reset_counts()
    return found


def kinds(report):
    return sorted(fault.kind for fault in report.faults)


def weights(snapshot):
    return next(file for file in snapshot.files if file.path.endswith("q4_0.gguf"))


def blob(root, digest):
    return root / "blobs" / "sha256" / digest[:2] / digest


def everything(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_nothing_is_wrong_with_what_was_pulled(hub, server, snapshot, root):
    before = everything(root)
    seen = []
    report = hub.store.check(deep=True, progress=seen.append)
    assert report.ok
    assert report.faults == ()
    assert (report.blobs, report.hashed) == (len(set(_blobs(root))), report.blobs)
    assert report.files == len(snapshot.files)
    assert {progress.stage for progress in seen} == {"check"}
    assert everything(root) == before
    assert server.requests == []
    assert StoreCheck.model_validate(report.model_dump()) == report
    assert "nothing is wrong" in str(report)


def _blobs(root):
    return [path.name for path in (root / "blobs").rglob("*") if path.is_file()]


def test_a_blob_that_is_gone_is_noted_and_fetched_by_the_next_pull(hub, snapshot, root):
    file = weights(snapshot)
    blob(root, file.sha256).unlink()
    (snapshot.path / file.path).unlink()
    report = hub.store.check()
    assert kinds(report) == [FaultKind.MISSING, FaultKind.UNLINKED]
    assert not report.ok
    assert all(fault.done is None for fault in report.faults)
    mended = hub.store.check(repair=True)
    assert kinds(mended) == kinds(report)
    assert mended.ok
    assert "the next pull" in mended.faults[0].done
    again = hub.pull(f"{MODEL}:q4_0")
    assert again.fetched_bytes == file.size
    assert hub.store.check(deep=True).faults == ()


def test_a_file_without_a_row_is_hashed_and_adopted_or_set_aside(hub, snapshot, root):
    good, bad = Digest.of(b"from a backup"), Digest.of(b"something else")
    for digest in (good, bad):
        blob(root, digest).parent.mkdir(exist_ok=True)
        blob(root, digest).write_bytes(b"from a backup")
        blob(root, digest).chmod(0o444)
    report = hub.store.check()
    assert kinds(report) == [FaultKind.UNKNOWN] * 2
    assert blob(root, bad).exists()
    mended = hub.store.check(repair=True)
    assert mended.ok
    assert sorted(fault.done.split()[0] for fault in mended.faults) == ["hashed:", "moved"]
    assert blob(root, good).read_bytes() == b"from a backup"
    assert not blob(root, bad).exists()
    assert len(list((root / "quarantine").iterdir())) == 1
    assert hub.store.check(deep=True).faults == ()


def test_wrong_sizes_kinds_and_modes_are_told(hub, snapshot, root):
    hub.pull(f"{MODEL}:q8_0")
    first, second, third = sorted(_blobs(root))[:3]
    blob(root, first).chmod(0o644)
    blob(root, second).chmod(0o644)
    with blob(root, second).open("ab") as file:
        file.write(b"more")
    blob(root, third).unlink()
    blob(root, third).symlink_to("/dev/null")
    report = hub.store.check()
    told = {Path(fault.path).name: fault.kind for fault in report.faults if "blobs" in fault.path}
    assert told == {
        first: FaultKind.WRITABLE,
        second: FaultKind.DAMAGED,
        third: FaultKind.DAMAGED,
    }
    assert hub.store.check(repair=True).ok
    assert blob(root, first).stat().st_mode & 0o777 == 0o444
    hub.pull(f"{MODEL}:q4_0")
    assert hub.store.check(deep=True).faults == ()


def test_a_flipped_bit_is_found_by_a_deep_check_alone(hub, snapshot, root):
    file = weights(snapshot)
    look = blob(root, file.sha256).stat()
    flip(blob(root, file.sha256), at=file.size // 2)
    blob(root, file.sha256).chmod(0o444)
    os.utime(blob(root, file.sha256), ns=(look.st_atime_ns, look.st_mtime_ns))
    assert hub.store.check().ok
    report = hub.store.check(deep=True)
    assert kinds(report) == [FaultKind.DAMAGED]
    assert blob(root, file.sha256).exists()
    mended = hub.store.check(deep=True, repair=True)
    assert mended.ok
    assert FaultKind.DAMAGED in kinds(mended)
    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes > 0
    assert hub.store.check(deep=True).faults == ()


def test_a_snapshot_is_linked_again_without_a_fetch(hub, server, snapshot, root):
    file = weights(snapshot)
    (snapshot.path / file.path).unlink()
    shutil.copy(blob(root, file.sha256), snapshot.path / file.path)
    assert hub.store.check(deep=True).ok
    flip(snapshot.path / file.path)
    assert hub.store.check().ok
    other = next(one for one in snapshot.files if one.path != file.path)
    (snapshot.path / other.path).unlink()
    report = hub.store.check(repair=True, deep=True)
    assert kinds(report) == [FaultKind.UNLINKED] * 2
    assert {fault.done for fault in report.faults} == {"linked again"}
    assert (snapshot.path / file.path).samefile(blob(root, file.sha256))
    assert server.requests == []
    assert hub.store.check(deep=True).faults == ()


def test_what_nobody_understands_is_left_alone(hub, snapshot, root):
    strange = [root / "blobs" / "sha256" / name for name in ("notes.txt", "ab/notes.txt", "00")]
    (root / "blobs" / "sha256" / "ab").mkdir(exist_ok=True)
    strange[0].write_text("mine")
    strange[1].write_text("mine")
    folder = root / "snapshots" / "some" / "body" / "else"
    folder.mkdir(parents=True)
    (folder / "model.gguf").write_text("mine")
    digest = Digest.of(b"none")
    table = root / "blocks" / "sha256" / digest[:2] / digest
    table.parent.mkdir(parents=True, exist_ok=True)
    table.write_bytes(b"checksums of nothing")
    report = hub.store.check(repair=True)
    assert kinds(report) == [FaultKind.STRANGE] * 3 + [FaultKind.TABLE]
    assert not report.ok
    assert len(report.left) == 3
    assert strange[0].read_text() == strange[1].read_text() == "mine"
    assert (folder / "model.gguf").read_text() == "mine"
    assert not table.exists()


@pytest.fixture(scope="module")
def dead():
    """The name of a worker whose process has ended."""
    code = "from modelhub.jobs.owners import me; print(me())"
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_what_dead_work_left_is_told_and_removed(hub, snapshot, root, dead):
    place = hub.store._checker.place
    claims, digests = FetchClaims(hub._registry, place), [Digest.of(bytes([n])) for n in range(3)]
    for digest, owner, seconds in zip(digests, (dead, me(), me()), (60, 0.001, 60), strict=True):
        claims.take([digest], owner=owner, host="here", seconds=seconds)
    with hub._registry.begin() as tx:
        for owner, seconds in ((dead, 60), ("elsewhere:1:x", -7200), (me(), 60)):
            tx.leases.take(None, store=place, owner=owner, host="x", purpose="loading", seconds=seconds)
    part = f"{digests[0]}.part"
    old, young, half = root / "tmp" / "a.tmp", root / "tmp" / "b.tmp", root / "tmp" / part
    for path, days in ((old, 2), (young, 0.5), (half, 2)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - days * 86_400,) * 2)
    time.sleep(0.01)
    report = hub.store.check()
    assert kinds(report) == sorted([FaultKind.CLAIM] * 2 + [FaultKind.LEASE] * 2 + [FaultKind.TEMP])
    assert all(fault.left and fault.done is None for fault in report.faults)
    assert old.exists()
    assert hub.store.check() == report
    mended = hub.store.check(repair=True)
    assert mended.ok
    assert kinds(mended) == kinds(report)
    assert {fault.done for fault in mended.faults} == {"removed"}
    assert (old.exists(), young.exists(), half.exists()) == (False, True, True)
    assert [one.digest for one in claims.everything()] == [digests[2]]
    assert hub.store.check().faults == ()


def test_what_a_living_writer_has_is_no_fault(hub, root):
    path = root / "tmp" / "a.tmp"
    path.write_bytes(b"half")
    os.utime(path, (0, 0))
    ops = FsOps()
    fd = ops.open(str(path), os.O_RDWR)
    try:
        assert ops.try_lock(fd)
        assert hub.store.check(repair=True).faults == ()
        assert path.exists()
    finally:
        ops.close(fd)
    assert kinds(hub.store.check()) == [FaultKind.TEMP]


def test_a_part_is_told_after_a_week(hub, root):
    path = root / "tmp" / f"{Digest.of(b'x')}.part"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - 8 * 86_400,) * 2)
    assert kinds(hub.store.check(repair=True)) == [FaultKind.TEMP]
    assert not path.exists()


def test_quarantine_is_told_and_no_fault(hub, snapshot, root):
    flip(blob(root, weights(snapshot).sha256))
    mended = hub.store.check(deep=True, repair=True)
    assert mended.ok
    report = hub.store.check(deep=True)
    assert (report.quarantine, report.quarantine_bytes) == (1, weights(snapshot).size)
    assert FaultKind.DAMAGED not in kinds(report)
    assert "gc(quarantine=0)" in str(report)


@pytest.fixture
def unreadable(monkeypatch):
    """A function that makes a file one whose disk cannot be read."""
    bad, real = set(), FsOps.pread

    def pread(self, fd, buffer, offset):
        if os.fstat(fd).st_ino in bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(self, fd, buffer, offset)

    monkeypatch.setattr(FsOps, "pread", pread)
    return lambda path: bad.add(path.stat().st_ino)


def test_a_blob_that_cannot_be_read_is_told_and_the_rest_is_looked_at(hub, snapshot, root, unreadable):
    bad = weights(snapshot).sha256
    unreadable(blob(root, bad))
    report = hub.store.check(deep=True)
    assert kinds(report) == [FaultKind.UNREAD]
    assert report.hashed == report.blobs - 1
    mended = hub.store.check(deep=True, repair=True)
    assert not mended.ok
    assert mended.faults[0].done.startswith("could not be repaired: ")
    assert f"delete it, and the next pull of {MODEL} fetches it" in mended.faults[0].done
    assert blob(root, bad).exists()
    blob(root, bad).unlink()
    (snapshot.path / weights(snapshot).path).unlink()
    assert hub.store.check(repair=True).ok
    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes > 0


def test_a_snapshots_file_that_cannot_be_read_is_told_and_linked_again(hub, snapshot, root, unreadable):
    file = weights(snapshot)
    (snapshot.path / file.path).unlink()
    shutil.copy(blob(root, file.sha256), snapshot.path / file.path)
    unreadable(snapshot.path / file.path)
    assert hub.store.check().ok
    report = hub.store.check(deep=True)
    assert kinds(report) == [FaultKind.UNREAD]
    assert report.faults[0].path.endswith(file.path)
    assert report.hashed == report.blobs
    (mended,) = hub.store.check(deep=True, repair=True).left
    assert "delete it, and the next check" in mended.done
    (snapshot.path / file.path).unlink()
    assert hub.store.check(deep=True, repair=True).ok
    assert (snapshot.path / file.path).samefile(blob(root, file.sha256))


def test_what_no_repository_has_can_only_come_from_a_backup(hub, snapshot, root):
    digest = put(hub.store._store, b"made here").digest
    blob(root, digest).unlink()
    (mended,) = hub.store.check(repair=True).faults
    assert mended.kind is FaultKind.MISSING
    assert "backup" in mended.done


@pytest.mark.parametrize("deep", [False, True])
def test_it_ends_at_its_timeout_and_when_it_is_cancelled(hub, snapshot, root, deep):
    end_checks_early(hub, deep=deep)
    assert hub.store.check().ok


def test_a_deadline_is_no_fault_of_what_is_being_read_or_repaired(hub, snapshot, root, monkeypatch):
    real = FsOps.pread

    def pread(self, fd, buffer, offset):
        time.sleep(0.6)
        return real(self, fd, buffer, offset)

    blob(root, weights(snapshot).sha256).chmod(0o644)
    monkeypatch.setattr(FsOps, "pread", pread)
    for given in ({"deep": True}, {"repair": True}):
        with pytest.raises(DeadlineExceeded):
            hub.store.check(timeout=0.5, **given)
    monkeypatch.undo()
    assert hub.store.check(deep=True).faults == ()
