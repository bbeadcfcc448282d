"""Folders of a store."""

import pytest

from modelhub.errors import RevisionNotFound
from modelhub.facts import SnapshotFile
from modelhub.refs import RepoPath
from modelhub.registry import SnapshotRecord, StoreKey
from tests.registry.samples import COMMIT, OTHER, QWEN, digest, listing, saved

HERE, THERE = StoreKey("file:///here", "a"), StoreKey("s3://there", "")
BESIDE = StoreKey("file:///here", "b")


def one(path, text, link="hardlink"):
    return SnapshotFile(path=RepoPath(path), size=len(text), sha256=digest(text), link=link)


def save(registry, record, *files, commit=COMMIT, store=HERE, path="snapshots/Qwen/x"):
    with registry.begin() as tx:
        tx.snapshots.save(record.id, commit, path, files, store=store)


def find(registry, record, commit=COMMIT, store=HERE):
    with registry.read() as tx:
        return tx.snapshots.find(record.id, commit, store=store)


def test_what_is_saved_is_found(registry):
    record = saved(registry)
    assert find(registry, record) is None
    files = one("a/weights", "w"), one("config.json", "{}", "copy")
    save(registry, record, *reversed(files))
    assert find(registry, record) == SnapshotRecord(
        repo=QWEN.id, commit=COMMIT, path="snapshots/Qwen/x", files=files
    )


def test_a_second_pull_adds_and_replaces(registry):
    record = saved(registry)
    save(registry, record, one("a", "1"), one("b", "2"))
    save(registry, record, one("b", "3", "copy"), one("c", "1"), path="snapshots/Qwen/y")
    found = find(registry, record)
    assert found.files == (one("a", "1"), one("b", "3", "copy"), one("c", "1"))
    assert found.path == "snapshots/Qwen/y"


def test_commits_and_stores_have_their_own(registry):
    record = saved(registry, listing(), listing(OTHER))
    save(registry, record, one("a", "1"))
    save(registry, record, one("a", "2"), commit=OTHER)
    save(registry, record, one("a", "3"), store=THERE)
    assert find(registry, record).files == (one("a", "1"),)
    assert find(registry, record, OTHER).files == (one("a", "2"),)
    assert find(registry, record, COMMIT, THERE).files == (one("a", "3"),)
    assert find(registry, record, OTHER, THERE) is None
    assert find(registry, record, COMMIT, BESIDE) is None, "another host's folder of that name"


def test_a_commit_that_was_never_listed(registry):
    record = saved(registry)
    with registry.begin() as tx, pytest.raises(RevisionNotFound):
        tx.snapshots.save(record.id, OTHER, "x", (), store=HERE)


def test_thousands_of_files(registry):
    record = saved(registry)
    files = tuple(one(f"{number:05}", str(number % 7)) for number in range(2500))
    save(registry, record, *files)
    assert find(registry, record).files == files
