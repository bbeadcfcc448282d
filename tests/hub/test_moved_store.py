"""A store that was moved, restored, remounted or rebooted fetches nothing and puts nothing aside."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from sqlalchemy import text

from modelhub.store.fsops import FsOps

from .conftest import MODEL

Q8 = "zoo-chat-q8_0.gguf"


@pytest.fixture
def pulled(hub, server):
    hub.pull(f"{MODEL}:q8_0")
    home = Path(hub.settings.home)
    server.reset_counts()
    hub.close()
    return home


@pytest.fixture
def whole(make_hub, server, zoo_gguf):
    """A function that uses the store in a home, and finds nothing fetched and nothing put aside."""

    def use(home):
        hub = make_hub(home=home)
        snapshot = hub.pull(f"{MODEL}:q8_0")
        assert snapshot.fetched_bytes == 0
        assert (snapshot.path / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()
        assert not list((home / "store" / "quarantine").iterdir())
        hashed = []
        hub.pull(f"{MODEL}:q8_0", progress=hashed.append)
        assert max((one.done for one in hashed if one.stage == "verify"), default=0) < 65_536
        assert hub.verify(MODEL).ok
        assert server.requests == []
        hub.close()

    return use


def test_another_place_and_back(pulled, whole, tmp_path):
    moved = tmp_path / "elsewhere" / "home"
    moved.parent.mkdir()
    pulled.rename(moved)
    whole(moved)
    moved.rename(pulled)
    whole(pulled)


def test_a_copy_that_keeps_links_and_times(pulled, whole, tmp_path):
    subprocess.run(["cp", "-a", pulled, tmp_path / "copy"], check=True)
    whole(tmp_path / "copy")


def test_a_restore_with_new_inodes_and_without_links(pulled, whole):
    """As rsync without -H does: each name is a file of its own."""
    aside = pulled.with_name("backup")
    pulled.rename(aside)
    shutil.copytree(aside, pulled, symlinks=True)
    whole(pulled)


def test_a_tape_archive(pulled, whole):
    archive = pulled.with_name("home.tar")
    with tarfile.open(archive, "w") as tar:
        tar.add(pulled, "home")
    shutil.rmtree(pulled)
    with tarfile.open(archive) as tar:
        tar.extractall(pulled.parent, filter="tar")
    whole(pulled)


def test_another_mount_of_the_same_folder(pulled, whole, tmp_path):
    place = tmp_path / "mounted"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(["mount", "--bind", pulled, place], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.decode().strip()}")
    try:
        whole(place)
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def test_a_device_that_has_another_number_after_a_boot(pulled, whole, monkeypatch):
    def renumbered(look):
        values = list(look)
        values[2] += 77
        extra = {name: getattr(look, name) for name in dir(look) if name.startswith("st_")}
        return os.stat_result(values, extra)

    fstat, lstat = FsOps.fstat, FsOps.lstat
    monkeypatch.setattr(FsOps, "fstat", lambda ops, fd: renumbered(fstat(ops, fd)))
    monkeypatch.setattr(
        FsOps, "lstat", lambda ops, name, *, dir_fd=None: renumbered(lstat(ops, name, dir_fd=dir_fd))
    )
    whole(pulled)


def test_another_host_has_proofs_of_its_own(pulled, whole, monkeypatch):
    for room in ("hub.opening", "store.local"):
        monkeypatch.setattr(f"modelhub.{room}.host_id", lambda: "another")
    whole(pulled)


@pytest.mark.parametrize("column", ["device", "inode", "size", "mtime_ns", "ctime_ns", "recorded_ns"])
def test_a_bit_that_flipped_in_a_proof_is_only_no_proof(pulled, make_hub, whole, column):
    hub = make_hub(home=pulled)
    rows = text(f"SELECT location_id, {column} FROM artifact_proof")
    with hub._registry.begin() as tx:
        for location, value in tx.session.execute(rows).all():
            changed = text(f"UPDATE artifact_proof SET {column} = :value WHERE location_id = :location")
            flipped = type(value)(int(value) ^ 1 << 33)
            tx.session.execute(changed, {"value": flipped, "location": location})
    hub.close()
    whole(pulled)
