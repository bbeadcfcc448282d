"""What a host keeps of a bucket, and what it lets go."""

import pytest

from modelhub.refs import Digest, RepoPath
from modelhub.store.remote.cache import FRESH
from modelhub.store.testing import COMMIT, pattern, put

SIZE = 100_000
LATER = (FRESH + 1) * 10**9


@pytest.fixture
def clock():
    class Clock:
        now = 1_800_000_000 * 10**9

        def __call__(self):
            return self.now

    return Clock()


@pytest.fixture
def site(sites):
    return sites("memory")


def copies(store):
    return {path.name for path in store.root.glob("blobs/sha256/*/*")}


def several(store, clock, count):
    """So many blobs, each put long after the one before."""
    digests = []
    for number in range(count):
        digests.append(put(store, pattern(SIZE, number)).digest)
        clock.now += LATER
    return digests


def test_what_was_used_longest_ago_goes_first_and_comes_back(site, clock):
    store = site.host(clock=clock, options={"cache_bytes": 3 * SIZE})
    digests = several(store, clock, 3)
    store.read(digests[0], SIZE)
    clock.now += LATER
    put(store, pattern(SIZE, 3))
    assert copies(store) & set(digests) == {digests[0], digests[2]}
    assert store.present(digests) == set(digests)
    clock.now += LATER
    assert store.verify([digests[1]])
    assert copies(store) & set(digests) == {digests[0], digests[1]}


def test_a_copy_goes_with_its_links_and_a_link_brings_it_back(site, clock):
    store = site.host(clock=clock, options={"cache_bytes": SIZE})
    digest = put(store, pattern(SIZE)).digest
    files = {RepoPath("model.gguf"): digest}
    linked = store.link("v", "n", COMMIT, files).path / "model.gguf"
    assert linked.stat().st_nlink == 2
    clock.now += LATER
    put(store, pattern(SIZE, 1))
    assert digest not in copies(store)
    assert not linked.exists()
    clock.now += LATER
    store.link("v", "n", COMMIT, files)
    assert linked.read_bytes() == pattern(SIZE)


def test_what_is_leased_stays_whatever_it_takes(site, clock, caplog):
    leased = set()
    store = site.host(clock=clock, options={"cache_bytes": SIZE, "leased": lambda: leased})
    digests = several(store, clock, 1)
    leased |= set(digests)
    put(store, pattern(SIZE, 1))
    assert set(digests) < copies(store)
    assert "cache_over_limit" in caplog.messages


def test_what_was_used_a_moment_ago_stays(site, clock):
    store = site.host(clock=clock, options={"cache_bytes": SIZE})
    first = put(store, pattern(SIZE)).digest
    second = put(store, pattern(SIZE, 1)).digest
    assert copies(store) == {first, second}


def test_what_is_no_blob_hinders_nothing(site, clock):
    store = site.host(clock=clock, options={"cache_bytes": SIZE})
    (digest,) = several(store, clock, 1)
    (store.root / "blobs" / "sha256" / digest[:2] / ".nfs0000000000000001").touch()
    (store.root / "blobs" / "sha256" / "notes.txt").touch()
    put(store, pattern(SIZE, 1))
    assert digest not in copies(store)


def test_the_only_copy_stays(site, clock):
    store = site.host(clock=clock, options={"cache_bytes": SIZE})
    (digest,) = several(store, clock, 1)
    site.road.delete(f"blobs/sha256/{digest[:2]}/{digest}")
    put(store, pattern(SIZE, 1))
    assert digest in copies(store)


def test_a_put_that_was_cut_short_is_ended_by_the_next_link(site, monkeypatch):
    store = site.host()

    def cut(*_given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(store._bucket), "upload", cut)
        with pytest.raises(KeyboardInterrupt):
            put(store, pattern(SIZE))
    assert site.road.listed() == []
    (name,) = copies(store)
    digest = Digest(name)
    assert store.present([digest]) == {digest}
    store.link("v", "n", COMMIT, {RepoPath("model.gguf"): digest})
    assert site.road.get(f"blobs/sha256/{digest[:2]}/{digest}") == pattern(SIZE)
