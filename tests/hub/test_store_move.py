"""`hub.store.move`: everything comes, is right, and the old place is whole until then."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest

from modelhub.errors import (
    Cancelled,
    DeadlineExceeded,
    InUse,
    InvalidInput,
    ModelHubError,
    StoreFull,
    StoreUnavailable,
)
from modelhub.facts import JobKind, StoreMove
from modelhub.registry import StoreKey, StoreLedger
from modelhub.store.fsops import FsOps
from tests.store.remote.conftest import client, login, servers  # noqa: F401

from .conftest import MODEL
from .test_s3 import road  # noqa: F401

SHM = Path("/dev/shm")


@pytest.fixture
def pulled(hub, server):
    hub.pull(f"{MODEL}:q4_0")
    server.reset_counts()
    return hub


@pytest.fixture
def shm():
    folder = SHM / f"modelhub-move-{os.getpid()}-{random.randrange(1 << 30)}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def blobs(root):
    return {path.name: path for path in (Path(root) / "blobs").rglob("*") if path.is_file()}


def all_right(root):
    found = blobs(root)
    assert found
    for name, path in found.items():
        assert sha256(path.read_bytes()).hexdigest() == name
    return found.keys()


def usable(make_hub, place, server, **given):
    """A Hub at the new place pulls and checks without asking anybody."""
    with make_hub(store=place, **given) as hub:
        snapshot = hub.pull(f"{MODEL}:q4_0")
        assert snapshot.fetched_bytes == 0
        for file in snapshot.files:
            assert sha256((snapshot.path / file.path).read_bytes()).hexdigest() == file.sha256
        assert hub.verify(MODEL).ok
        if not str(place).startswith(("s3:", "memory:")):
            assert hub.store.check(deep=True).faults == ()
        assert not hub.store.gc(dry_run=True).items
        assert not list((hub.store._store.root / "quarantine").iterdir())
    assert server.requests == []


def test_on_one_file_system_blobs_get_a_second_name(pulled, make_hub, server, tmp_path):
    old = Path(pulled.settings.home) / "store"
    names, seen = all_right(old), []
    told = pulled.store.move(tmp_path / "new", dry_run=True)
    assert (told.dry_run, told.linked, told.copied) == (True, len(names), 0)
    assert not (tmp_path / "new").exists()
    report = pulled.store.move(tmp_path / "new", progress=seen.append)
    assert (report.linked, report.linked_bytes) == (told.linked, told.linked_bytes)
    assert {"move", "link"} <= {one.stage for one in seen}
    assert report.kept_bytes == 0
    assert "MODELHUB_STORE_URI" in str(report)
    assert StoreMove.model_validate(report.model_dump()) == report
    assert all_right(tmp_path / "new") == names == all_right(old)
    mine, its = blobs(old), blobs(tmp_path / "new")
    assert all(mine[name].stat().st_ino == its[name].stat().st_ino for name in names)
    assert [job.kind for job in pulled.jobs.list(limit=1)] == [JobKind.STORE_MOVE]
    usable(make_hub, tmp_path / "new", server)


def test_who_still_opens_the_old_place_is_told(pulled, make_hub, server, tmp_path):
    idle = make_hub()
    pulled.store.move(tmp_path / "new")
    for use in (make_hub, lambda: idle.pull(f"{MODEL}:q4_0"), lambda: pulled.store.move(tmp_path / "x")):
        with pytest.raises(StoreUnavailable, match="was moved to") as caught:
            use()
        assert "MODELHUB_STORE_URI=" in caught.value.hint
    with make_hub(store=tmp_path / "new") as hub:
        hub.store.move(tmp_path / "third")
    with pytest.raises(StoreUnavailable, match="third"):
        make_hub()
    with make_hub(store=tmp_path / "third") as hub:
        back = hub.store.move(Path(hub.settings.home) / "store")
        assert (back.copied, back.linked, back.lost) == (0, 0, ())
    usable(make_hub, None, server)


def test_across_file_systems_blobs_are_copied_and_the_old_place_goes(pulled, make_hub, server, shm):
    old = Path(pulled.settings.home) / "store"
    names = all_right(old)
    told = pulled.store.move(shm, dry_run=True)
    report = pulled.store.move(shm)
    assert (report.copied, report.copied_bytes) == (told.copied, told.copied_bytes)
    assert report.copied == len(names)
    assert report.kept_bytes == report.copied_bytes
    assert all_right(shm) == names
    usable(make_hub, shm, server)
    with make_hub(store=shm) as hub:
        gone = hub.store.move(shm, delete_old=True)
        assert gone.deleted
        with pytest.raises(InvalidInput, match="own place"):
            hub.store.move(shm)
    assert not old.exists()


def test_a_folder_of_the_same_path_on_another_host_is_left_alone(pulled, make_hub, shm, tmp_path):
    """Another host has moved its store, of whatever path, to where this host has its own."""
    pulled.store.move(shm)
    theirs = tmp_path / "theirs"
    shutil.copytree(shm, theirs, symlinks=True)
    names = all_right(theirs)
    with make_hub(store=shm) as hub:
        uri, registry = hub.settings.store, hub._registry
        ledger = StoreLedger(registry, theirs.as_uri(), host="another")
        with registry.begin() as tx:
            tx.moves.begin(ledger.key)
            tx.moves.begin(StoreKey(uri, "another"))
            tx.moves.switch(ledger.key, StoreKey(uri, "another"), lost=(), links={})
            left = tx.moves.left(StoreKey(uri, "another"), "another")
        assert [key.uri for key in left] == [theirs.as_uri()]
        assert hub.store.move(shm, delete_old=True).source == pulled.settings.store
    assert all_right(theirs) == names
    assert not (Path(pulled.settings.home) / "store").exists()
    # Where it goes on to, the other host's place does not follow.
    with make_hub(store=shm) as hub:
        hub.store.move(tmp_path / "third")
        with hub._registry.read() as tx:
            assert tx.moves.moved_to(ledger.key) == uri


def test_delete_old_leaves_what_is_no_stores(pulled, make_hub, server, shm):
    old = Path(pulled.settings.home) / "store"
    (old / "notes.txt").write_text("mine")
    assert pulled.store.move(shm, delete_old=True).deleted
    assert [path.name for path in old.iterdir()] == ["notes.txt"]
    usable(make_hub, shm, server)


def test_places_that_cannot_be(pulled, tmp_path):
    root = Path(pulled.settings.home) / "store"
    for place in (root, root / "inside", root.parent):
        with pytest.raises(InvalidInput, match="cannot be moved"):
            pulled.store.move(place)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    with pytest.raises(StoreUnavailable, match=r"a\.txt"):
        pulled.store.move(tmp_path / "full")
    shutil.copytree(root, tmp_path / "other", symlinks=True)
    with pytest.raises(StoreUnavailable, match="knows nothing"):
        pulled.store.move(tmp_path / "other")
    assert pulled.pull(f"{MODEL}:q4_0").fetched_bytes == 0


def test_who_uses_it_refuses(pulled, tmp_path):
    record = pulled.repos()[0]
    with pulled.store._mover.holds.hold(record, "loading"), pytest.raises(InUse, match="is loading"):
        pulled.store.move(tmp_path / "new")
    with pulled._registry.begin() as tx:
        job, _ = tx.jobs.create("artifact_download", "k", {})
        tx.jobs.start(job.id, "elsewhere:1:x", 60)
    with pytest.raises(InUse, match="artifact_download"):
        pulled.store.move(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damage_stays_and_is_fetched_later(pulled, make_hub, server, shm):
    old = Path(pulled.settings.home) / "store"
    name, path = max(blobs(old).items(), key=lambda one: one[1].stat().st_size)
    path.chmod(0o644)
    data = bytearray(path.read_bytes())
    data[5000] ^= 1
    path.write_bytes(data)
    report = pulled.store.move(shm, delete_old=True)
    assert report.lost == (name,)
    assert not report.deleted
    assert path.exists()
    assert not list((old / "quarantine").iterdir())
    with make_hub(store=shm) as hub:
        assert hub.pull(f"{MODEL}:q4_0").fetched_bytes > 0
        assert hub.store.check(deep=True).faults == ()


def test_cancel_keeps_what_came(pulled, make_hub, server, shm):
    def stop(progress):
        if progress.done > 0:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        pulled.store.move(shm, progress=stop)
    with pytest.raises(DeadlineExceeded):
        pulled.store.move(shm, timeout=0.5, progress=lambda _: time.sleep(0.6))
    assert pulled.pull(f"{MODEL}:q4_0").fetched_bytes == 0
    pulled.store.move(shm)
    usable(make_hub, shm, server)


def test_a_full_disk_is_refused_with_the_sum(pulled, make_hub, server, tmp_path, monkeypatch):
    monkeypatch.setattr(FsOps, "free", lambda _ops, _fd: 1000)
    monkeypatch.setattr(FsOps, "link", _no_links(FsOps.link))
    with pytest.raises(StoreFull, match="missing"):
        pulled.store.move(tmp_path / "new")
    monkeypatch.undo()
    assert pulled.pull(f"{MODEL}:q4_0").fetched_bytes == 0
    pulled.store.move(tmp_path / "new")
    usable(make_hub, tmp_path / "new", server)


def _no_links(real):
    def link(ops, source, target, *, source_fd, target_fd):
        if "/" in source:
            raise OSError(18, "Invalid cross-device link")
        real(ops, source, target, source_fd=source_fd, target_fd=target_fd)

    return link


@pytest.mark.parametrize("name", ["link", "pwrite", "fsync", "mkdir", "rename", "pread"])
def test_a_call_that_fails_leaves_the_old_store_and_the_next_move_ends(
    pulled, make_hub, server, tmp_path, monkeypatch, name
):
    real, count = getattr(FsOps, name), [random.Random(name).randrange(1, 12)]

    def fail(self, *args, **kwargs):
        count[0] -= 1
        if not count[0]:
            raise OSError(5, "Input/output error")
        return real(self, *args, **kwargs)

    monkeypatch.setattr(FsOps, name, fail)
    try:
        pulled.store.move(tmp_path / "new")
    except ModelHubError:
        monkeypatch.undo()
        assert pulled.pull(f"{MODEL}:q4_0").fetched_bytes == 0
        pulled.store.move(tmp_path / "new")
    monkeypatch.undo()
    usable(make_hub, tmp_path / "new", server)


CHILD = """
import sys
from modelhub import Hub
with Hub(home=sys.argv[1], store=sys.argv[2], offline=True, progress=False) as hub:
    print("ready", flush=True)
    hub.store.move(sys.argv[3])
"""


def test_killed_at_any_moment(pulled, make_hub, server, tmp_path, shm, rounds):
    home, place = pulled.settings.home, Path(pulled.settings.home) / "store"
    names = all_right(place)
    pulled.close()
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")  # shown when it fails
    draw = random.Random(seed)
    for number in range(rounds(8, 200)):
        goal = (tmp_path if number % 2 else shm) / f"place-{number}"
        goal.parent.mkdir(exist_ok=True)
        argv = [sys.executable, "-c", CHILD, str(home), str(place), str(goal)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
            assert child.stdout.readline()
            time.sleep(draw.random() * 0.2)
            child.send_signal(signal.SIGKILL)
        if moved(make_hub, place) is None:
            assert all_right(place) == names
            with make_hub(store=place) as hub:
                hub.store.move(goal, delete_old=True)
        assert all_right(goal) == names
        place = goal
    usable(make_hub, place, server)


def moved(make_hub, place):
    """Where a store is now; `None` for one that is where it was."""
    try:
        make_hub(store=place).close()
    except StoreUnavailable as error:
        return error.details["moved_to"]
    return None


def test_on_any_database(make_hub, server, database_url, tmp_path):
    given = {"database": database_url}
    with make_hub(**given) as hub:
        hub.pull(f"{MODEL}:q4_0")
        server.reset_counts()
        assert hub.store.move(tmp_path / "new").snapshots == 1
    with pytest.raises(StoreUnavailable, match="was moved to"):
        make_hub(**given)
    usable(make_hub, tmp_path / "new", server, **given)


def test_to_a_bucket_and_back(pulled, make_hub, server, road, tmp_path):  # noqa: F811
    names = all_right(Path(pulled.settings.home) / "store")
    settings = {"s3_endpoint": road.address}
    pulled.close()
    with make_hub(**settings) as hub:
        assert hub.store.move(road.uri).copied == len(names)
    usable(make_hub, road.uri, server, **settings)
    with make_hub(store=road.uri, **settings) as hub:
        assert hub.store.move(tmp_path / "back", delete_old=True).copied == len(names)
    assert not [key for key in road.listed() if key.startswith("blobs/")]
    assert all_right(tmp_path / "back") == names
    usable(make_hub, tmp_path / "back", server)
