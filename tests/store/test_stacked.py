"""Stores below a store: asked before anybody else, believed by nobody, never written to."""

import itertools
import logging
import os
import subprocess
from contextlib import closing

import pytest

from modelhub.errors import ArtifactNotFound, DeadlineExceeded
from modelhub.facts import BlobState
from modelhub.refs import RepoPath
from modelhub.store import FileLedger, StackedStore, Store, StoreOptions, lower_at
from modelhub.store.testing import COMMIT, pattern, put

from .hands import blob, flip
from .remote.conftest import S3Road, client, login, servers  # noqa: F401
from .test_local import TestLocalStore as OnFolder

DATA = pattern(3 << 20)
_numbers = itertools.count()


class Upper:
    """A store of a kind, whose lower ones are given."""

    def __init__(self, tmp_path, kind):
        self.ledger = FileLedger(tmp_path / "upper.jsonl")
        place = tmp_path / "upper" if kind == "folder" else f"memory://upper-{next(_numbers)}"
        self.store = Store.open(place, self.ledger, options=StoreOptions(cache=tmp_path / "cache"))

    def over(self, *places, endpoint=None):
        return StackedStore(self.store, [lower_at(str(place), endpoint) for place in places])


@pytest.fixture(params=["folder", "memory"])
def upper(request, tmp_path):
    made = Upper(tmp_path, request.param)
    yield made
    made.store.close()
    made.ledger.close()


@pytest.fixture
def nas(tmp_path):
    """A function that makes the folder of another store, with a blob of `data`: the folder, the digest."""

    def make(name="nas", data=DATA):
        with (
            closing(FileLedger(tmp_path / f"{name}.jsonl")) as ledger,
            Store.open(tmp_path / name, ledger) as store,
        ):
            record = put(store, data)
            store.link("v", "n", COMMIT, {RepoPath("weights"): record.digest})
        return tmp_path / name, record.digest

    return make


def looks(folder):
    """Everything about every file that a write, a link or a new mode would change."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        look = path.lstat()
        found[path] = (
            look.st_ino,
            look.st_mode,
            look.st_nlink,
            look.st_size,
            look.st_mtime_ns,
            look.st_ctime_ns,
        )
    return found


def linked(store, digest, commit=COMMIT):
    return store.link("v", "n", commit, {RepoPath("weights"): digest}).path / "weights"


class TestContractOverNothing(OnFolder):
    @pytest.fixture
    def store(self, store, tmp_path):
        (tmp_path / "below").mkdir()
        return StackedStore(store, [lower_at(str(tmp_path / "below"))])


def test_what_a_lower_folder_has_is_brought_and_the_folder_is_left_alone(upper, nas):
    folder, digest = nas()
    before = looks(folder)
    store = upper.over(folder)
    assert store.present([digest]) == {digest}
    assert upper.store.present([digest]) == frozenset()
    assert not store.known([digest])
    moved = []
    path = store.link("v", "n", COMMIT, {RepoPath("weights"): digest}, on_bytes=moved.append).path
    assert (path / "weights").read_bytes() == DATA
    assert sum(moved) >= len(DATA)
    assert upper.store.verify([digest], "full")[digest].size == len(DATA)
    assert looks(folder) == before
    assert [one.uri for one in store.lower] == [folder.as_uri()]
    assert store.lower[0].probe() == f"{folder} can be read"


def test_finding_proves_nothing_and_writes_nothing_down(upper, nas):
    folder, digest = nas()
    found = upper.over(folder).find([digest])[digest]
    assert found.proof is None
    assert digest not in upper.ledger.find([digest])


def test_reading_exporting_and_verifying_bring_too(upper, nas, tmp_path):
    small, large = nas("small", b"{}"), nas("large")
    store = upper.over(small[0], large[0])
    assert store.read(small[1], 10) == b"{}"
    store.export(tmp_path / "out", {RepoPath("weights"): large[1]})
    assert (tmp_path / "out" / "weights").read_bytes() == DATA
    assert store.verify([large[1]], "off")[large[1]].size == len(DATA)
    assert upper.store.present([small[1], large[1]]) == {small[1], large[1]}


def test_the_second_has_what_the_first_has_wrong(upper, nas, caplog):
    folder, digest = nas()
    other, _ = nas("other")
    flip(blob_in(folder, digest))
    store = upper.over(folder, other)
    with caplog.at_level(logging.WARNING):
        assert linked(store, digest).read_bytes() == DATA
    assert [record.message for record in caplog.records].count("lower_damaged") == 1


def blob_in(folder, digest):
    return folder / "blobs" / "sha256" / digest[:2] / digest


def test_what_is_wrong_below_counts_as_absent(upper, nas, caplog):
    folder, digest = nas()
    flip(blob_in(folder, digest))
    before = looks(folder)
    store = upper.over(folder)
    assert store.present([digest]) == {digest}
    with caplog.at_level(logging.WARNING), pytest.raises(ArtifactNotFound):
        linked(store, digest)
    assert "lower_damaged" in caplog.messages
    assert not store.present([digest])
    put(store, DATA)
    assert linked(store, digest).read_bytes() == DATA
    assert looks(folder) == before


@pytest.mark.parametrize("gone", ["folder", "blob is a folder"])
def test_what_cannot_be_read_below_is_passed_over(upper, nas, caplog, gone):
    folder, digest = nas()
    store = upper.over(folder)
    if gone == "folder":
        folder.rename(folder.with_name("unmounted"))
    else:
        blob_in(folder, digest).unlink()
        blob_in(folder, digest).mkdir()
    with caplog.at_level(logging.WARNING), pytest.raises(ArtifactNotFound):
        store.verify([digest])
    assert "lower_unavailable" in caplog.messages
    assert not store.present([digest])


def test_a_deadline_says_nothing_of_what_is_below(upper, nas):
    folder, digest = nas()
    store = upper.over(folder)

    def late():
        raise DeadlineExceeded("too late")

    with pytest.raises(DeadlineExceeded):
        store.verify([digest], check=late)
    assert store.present([digest]) == {digest}


def test_a_link_below_leads_nowhere(upper, nas, tmp_path):
    folder, digest = nas()
    (tmp_path / "secret").write_bytes(DATA)
    blob_in(folder, digest).unlink()
    blob_in(folder, digest).symlink_to(tmp_path / "secret")
    with pytest.raises(ArtifactNotFound):
        upper.over(folder).verify([digest])


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_mount_will_do(upper, nas, tmp_path):
    folder, digest = nas()
    mount = tmp_path / "mounted"
    mount.mkdir()
    if subprocess.run(["mount", "--bind", folder, mount], check=False).returncode:
        pytest.skip("this container may not mount")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", mount], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (mount / "x").touch()
        store = upper.over(mount)
        assert linked(store, digest).read_bytes() == DATA
    finally:
        subprocess.run(["umount", mount], check=True)
    assert store.verify([digest])[digest].size == len(DATA)


def test_a_bucket_below_is_only_read(upper, tmp_path, servers, login):  # noqa: F811
    address = servers("moto")
    login("moto")
    road = S3Road(client(address, "moto"), f"lower-{next(_numbers)}")
    options = StoreOptions(cache=tmp_path / "theirs", endpoint=address)
    with (
        closing(FileLedger(tmp_path / "theirs.jsonl")) as ledger,
        Store.open(road.uri, ledger, options=options) as theirs,
    ):
        digest, wrong = put(theirs, DATA).digest, put(theirs, DATA[1:]).digest
    road.put(f"blobs/sha256/{wrong[:2]}/{wrong}", DATA[2:] + b"x")
    before = {key: road.get(key) for key in road.listed()}
    store = upper.over(road.uri, endpoint=address)
    try:
        assert store.present([digest, wrong]) == {digest, wrong}
        assert linked(store, digest).read_bytes() == DATA
        with pytest.raises(ArtifactNotFound):
            store.verify([wrong])
        assert {key: road.get(key) for key in road.listed()} == before
        assert upper.ledger.find([digest])[digest].state is BlobState.PRESENT
    finally:
        store.lower[0].close()


def test_a_copy_that_is_lost_comes_from_below_again(upper, nas):
    folder, digest = nas()
    store = upper.over(folder)
    linked(store, digest)
    path = blob(store, digest) if store.uri.startswith("file:") else store.path(digest)
    path.unlink()
    assert linked(store, digest, "b" * 40).read_bytes() == DATA
