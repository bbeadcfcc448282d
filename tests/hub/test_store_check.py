"""`hub.store.check`: whatever hands and disks did to a store is told, repaired, and never made worse."""

import os
import shutil
from pathlib import Path

import pytest

from modelhub.facts import FaultKind, StoreCheck
from modelhub.refs import Digest
from tests.store.hands import flip

from .conftest import MODEL


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
