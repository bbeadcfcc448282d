"""Taking blobs and snapshot folders away: what goes, what is left alone."""

import fcntl
import os
import time

import pytest

from modelhub.errors import StoreUnavailable, UnsafePath
from modelhub.refs import Digest, RepoPath
from modelhub.store.testing import COMMIT, pattern, put

from .hands import blob, names

DATA = pattern(200_000)
FOLDER = f"snapshots/zoo/m/{COMMIT}"


@pytest.fixture
def linked(store):
    """A snapshot with a hard link and a copy."""
    files = {
        RepoPath("a/m.gguf"): put(store, DATA).digest,
        RepoPath("card.md"): put(store, b"# card").digest,
    }
    return store.link("zoo", "m", COMMIT, files)


def test_a_blob_goes_when_it_is_confirmed_while_it_is_locked(store):
    digest = put(store, DATA).digest

    def confirm():
        with blob(store, digest).open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True

    assert store.remove(digest, confirm)
    assert not blob(store, digest).exists()


def test_a_blob_stays_that_is_not_confirmed(store):
    digest = put(store, DATA).digest
    assert not store.remove(digest, lambda: False)
    assert blob(store, digest).read_bytes() == DATA


def test_a_blob_that_is_not_there_is_gone_if_it_is_confirmed(store):
    nothing = Digest.of(b"nothing")
    assert store.remove(nothing, lambda: True)
    assert not store.remove(nothing, lambda: False)


def test_a_removed_blob_can_be_stored_again(store):
    digest = put(store, DATA).digest
    assert store.remove(digest, lambda: True)
    assert store.present([digest]) == frozenset()
    assert put(store, DATA).digest == digest
    assert store.verify([digest], "full")


def test_a_snapshot_goes_with_the_folders_that_are_empty_then(store, linked):
    (linked.path / "mine.txt").write_text("the user's")
    (linked.path / "deep").mkdir()
    outside = store.root.parent / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    (linked.path / "deep" / "link").symlink_to(outside)
    assert store.remove_snapshot(FOLDER)
    assert names(store.root / "snapshots") == []
    assert names(store.root / "tmp") == []
    assert names(outside) == ["kept"]
    assert blob(store, Digest.of(DATA)).read_bytes() == DATA
    assert not store.remove_snapshot(FOLDER)


def test_other_snapshots_stay(store, linked):
    files = {file.path: file.sha256 for file in linked.files}
    other = store.link("zoo", "m", "f" * 40, files)
    assert store.remove_snapshot(FOLDER)
    assert names(store.root / "snapshots" / "zoo" / "m") == ["f" * 40]
    assert (other.path / "a" / "m.gguf").read_bytes() == DATA


def test_a_link_in_the_place_of_a_folder_is_not_followed(store, linked):
    home = store.root / "snapshots" / "zoo" / "m"
    aside = store.root.parent / "aside"
    home.rename(aside)
    home.symlink_to(aside)
    with pytest.raises(StoreUnavailable):
        store.remove_snapshot(FOLDER)
    assert names(aside) == [COMMIT]


@pytest.mark.parametrize("path", ["snapshots", "snapshots/zoo", "blobs/sha256/ab/cd", f"{FOLDER}/a"])
def test_only_a_snapshots_folder_is_removed(store, linked, path):
    with pytest.raises(StoreUnavailable, match="no snapshot's folder"):
        store.remove_snapshot(path)
    assert (linked.path / "card.md").exists()
    with pytest.raises(UnsafePath):
        store.remove_snapshot("snapshots/../../x")


def test_what_a_killed_removal_left_is_swept_a_day_later(store):
    left, other = store.root / "tmp" / "gone.1", store.root / "tmp" / "somebody's"
    for folder in (left, other):
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "file").write_text("x")
    assert store.sweep() == 0
    past = time.time() - 100_000
    for folder in (left, other):
        os.utime(folder, (past, past))
    assert store.sweep() == 1
    assert names(store.root / "tmp") == ["somebody's"]
