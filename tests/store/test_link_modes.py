"""A store, or one call, may say how large files come into snapshots."""

import errno
import os

import pytest

from modelhub.errors import InvalidInput
from modelhub.refs import RepoPath
from modelhub.store import FileLedger, Store, StoreOptions
from modelhub.store.testing import COMMIT, pattern, put
from tests.store.hands import names

BIG, SMALL, ONNX = RepoPath("m.gguf"), RepoPath("c.json"), RepoPath("o.onnx")


@pytest.fixture(params=["disk", "memory"])
def place(request, tmp_path):
    if request.param == "disk":
        return tmp_path / "store"
    return request.getfixturevalue("tmpfs")("memory", "16m") / "store"


def link(store, mode=None):
    big, small, onnx = (put(store, pattern(size)).digest for size in (200_000, 100, 100_000))
    made = store.link("v", "n", COMMIT, {BIG: big, SMALL: small, ONNX: onnx}, link_mode=mode)
    for file, size in ((BIG, 200_000), (SMALL, 100), (ONNX, 100_000)):
        assert (made.path / file).read_bytes() == pattern(size)
    return [file.link for file in made.files], made.path


def looks(path):
    look = (path / BIG).lstat()
    return (path / BIG).is_symlink(), look.st_nlink


KINDS = {"hardlink": (False, 2), "symlink": (True, 1), "copy": (False, 1)}


@pytest.mark.parametrize("mode", KINDS)
def test_of_a_store_and_of_a_call(place, ledger, mode):
    with Store.open(place, ledger, options=StoreOptions(link_mode=mode)) as store:
        own = "reflink" if store.capabilities.reflink and mode != "copy" else "copy"
        ways, path = link(store)
        assert ways == [mode, "copy", own]
        assert looks(path) == KINDS[mode]
        assert link(store)[0][:2] == [mode, "copy"]  # found as it is
    with Store.open(place, ledger) as store:
        assert link(store)[0][0] == mode  # whatever is right stays
        for other, kind in KINDS.items():
            ways, path = link(store, other)
            assert ways[0] == other
            assert looks(path) == kind


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "reflink"])
def test_what_the_file_system_cannot_is_refused_early(store, spy, ledger, monkeypatch, mode):
    def failing(*_given, **_named):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    put(store, pattern(200_000))
    monkeypatch.setattr(type(spy), {"hardlink": "link"}.get(mode, mode), failing)
    with pytest.raises(InvalidInput, match=f"link_mode: .* cannot {mode}; it has ") as caught:
        Store.open(store.root, ledger, ops=spy, options=StoreOptions(link_mode=mode))
    assert "copy" in caught.value.hint
    with pytest.raises(InvalidInput, match="cannot"):
        link(store, mode)
    assert names(store.root / "snapshots") == []
    assert names(store.root / "tmp") == []


def test_a_file_system_in_memory_shares_no_blocks(tmpfs, tmp_path):
    ledger = FileLedger(tmp_path / "own.jsonl")
    with (
        Store.open(tmpfs("memory", "16m") / "store", ledger) as store,
        pytest.raises(InvalidInput, match=r"cannot reflink; it has hardlink, symlink"),
    ):
        store.require_link_mode("reflink")
    ledger.close()


def test_shared_blocks_are_told_by_no_look(store, spy, monkeypatch):
    """A file made by a reflink is found again as a copy, and not made anew."""

    def reflink(self, source, target):
        os.copy_file_range(source, target, os.fstat(source).st_size, 0, 0)

    monkeypatch.setattr(type(spy), "reflink", reflink)
    assert link(store, "reflink")[0] == ["reflink", "copy", "reflink"]
    spy.counts.clear()
    assert link(store, "reflink")[0] == ["copy", "copy", "copy"]
    assert spy.counts["reflink"] == 0


def test_what_is_no_mode_is_refused(store):
    with pytest.raises(InvalidInput, match="link_mode must be one of auto, hardlink"):
        store.require_link_mode("hard")
