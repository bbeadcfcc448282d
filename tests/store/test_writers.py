"""Programs that write into a snapshot: what they did is found at the next use, and never kept as right."""

import os

import pytest

from modelhub.errors import IntegrityError
from modelhub.refs import RepoPath
from modelhub.store.testing import COMMIT, pattern, put
from tests.store.hands import flip, names

FILE = RepoPath("model.gguf")
DATA = pattern(200_000)


@pytest.fixture
def linked(store):
    """A function that links the file; and where it is then."""
    digest = put(store, DATA).digest

    def link():
        return store.link("v", "n", COMMIT, {FILE: digest}).path / FILE

    link.digest = digest
    return link


def truncate(path):
    path.chmod(0o644)
    os.truncate(path, 1000)


def append(path):
    path.chmod(0o644)
    with path.open("ab") as file:
        file.write(b"more")


def overwrite(path):
    path.chmod(0o644)
    path.write_bytes(b"other bytes")


def overwrite_and_hide(path):
    """With the old time set back: the change time tells."""
    look = path.stat()
    flip(path)
    os.utime(path, ns=(look.st_atime_ns, look.st_mtime_ns))


@pytest.mark.parametrize("write", [flip, truncate, append, overwrite, overwrite_and_hide])
def test_a_write_through_the_link_is_found_and_put_aside(store, linked, write):
    path = linked()
    write(path)
    with pytest.raises(IntegrityError) as caught:
        linked()
    assert caught.value.details["digests"] == [linked.digest]
    assert not path.exists()
    assert len(names(store.root / "quarantine")) == 1
    put(store, DATA)
    assert linked().read_bytes() == DATA
    assert store.path(linked.digest).read_bytes() == DATA


def test_a_replacement_by_rename_leaves_the_blob_alone(store, linked):
    path = linked()
    other = path.with_name("new")
    other.write_bytes(b"other bytes")
    other.rename(path)
    assert store.path(linked.digest).read_bytes() == DATA
    assert linked().read_bytes() == DATA
    assert names(store.root / "quarantine") == []


def test_what_was_written_into_a_copy_is_replaced(store):
    digest = put(store, b"{}", "config.json").digest
    files = {RepoPath("config.json"): digest}
    path = store.link("v", "n", COMMIT, files).path / "config.json"
    path.write_text("[1]")
    assert store.link("v", "n", COMMIT, files).path.joinpath("config.json").read_bytes() == b"{}"
    assert store.path(digest).read_bytes() == b"{}"
