"""What is being stored stays, whoever removes or makes room in that moment."""

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.intake import Expected
from modelhub.store.remote.cache import FRESH, LOST
from modelhub.store.testing import pattern, promise, put

DATA = pattern(50_000)
DIGEST = Digest.of(DATA)
KEY = layout.blob_path(DIGEST)

REMOVER = """
import sys
from pathlib import Path
from modelhub.refs import Digest
from modelhub.store import FileLedger, StoreOptions
from modelhub.store.remote import RemoteStore
uri, endpoint, cache, ledger, digest = sys.argv[1:]
with RemoteStore.open(uri, FileLedger(ledger), options=StoreOptions(Path(cache), None, endpoint)) as store:
    print(store.remove(Digest(digest), lambda: True))
"""


def known(store):
    return put(store, DATA).digest


def unknown(store):
    return store.put(io.BytesIO(DATA), expect=Expected()).digest


def received(store):
    with store.receive(promise(DATA)) as part:
        if part.record is None:
            part.write(0, memoryview(DATA))
            part.finish(lambda: None)
        return part.record.digest


def batched(store):
    with store.batch() as batch:
        return batch.put(io.BytesIO(DATA), expect=Expected())


@pytest.fixture
def between(monkeypatch):
    """A function that does something after the cache has a blob, and before its upload begins."""

    def meanwhile(store, store_it, work):
        """What `work` gave, done in that moment of `store_it`."""
        both, publish = Barrier(2, timeout=20), store._publisher.publish

        def waiting(records, watch):
            assert [one.digest for one in records] == [DIGEST]
            both.wait()
            both.wait()
            publish(records, watch)

        monkeypatch.setattr(store._publisher, "publish", waiting)
        with ThreadPoolExecutor(1) as pool:
            storing = pool.submit(store_it, store)
            both.wait()
            try:
                return work()
            finally:
                both.wait()
                assert storing.result() == DIGEST
                monkeypatch.setattr(store._publisher, "publish", publish)

    return meanwhile


# A removal waits for a part that is new: its file is locked until the whole is done.
@pytest.mark.parametrize(
    ("store_it", "before"),
    [
        *((store_it, before) for store_it in (known, unknown, batched) for before in (False, True)),
        (received, True),
    ],
)
def test_a_removal_leaves_what_is_being_stored(store_it, before, sites, between):
    site = sites("memory")
    store, same = site.host("one"), site.host("one")
    if before:
        put(store, DATA)
    assert not between(store, store_it, lambda: same.remove(DIGEST, lambda: True))
    assert site.road.get(KEY) == DATA
    assert store.read(DIGEST, len(DATA)) == DATA
    assert same.remove(DIGEST, lambda: True)
    assert site.road.get(KEY) is None


def test_a_removal_by_another_process_leaves_it_too(sites, between):
    site = sites("moto")
    store = site.host("one")
    given = [site.road.uri, site.endpoint, str(site.tmp_path / "one"), str(site.tmp_path / "l"), DIGEST]

    def removal():
        done = subprocess.run(
            [sys.executable, "-c", REMOVER, *given],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        return done.stdout.strip()

    assert between(store, known, removal) == "False"
    assert site.road.get(KEY) == DATA
    assert removal() == "True"


@pytest.mark.parametrize("store_it", [known, unknown, received, batched])
def test_the_cache_keeps_what_is_not_in_the_bucket_yet(store_it, sites, between):
    """Also when it is short of room, and its owner comes to no upload for long."""
    site = sites("memory")
    store, same = site.host("one"), site.host("one", options={"cache_bytes": 1})
    assert between(store, store_it, lambda: same._cache.make_room(1)) == 0
    assert site.road.get(KEY) == DATA


def test_a_copy_that_went_since_the_bucket_has_it_is_no_failure(sites, between):
    """An old copy was met by a put that did not know its digest; it goes before the put has it in use."""
    site = sites("memory")
    store = site.host("one")
    put(store, DATA)
    later = store._clock() + (FRESH + 1) * 10**9
    same = site.host("one", options={"cache_bytes": 1}, clock=lambda: later)
    assert between(store, unknown, lambda: same._cache.make_room(1)) == len(DATA)
    assert not store.path(DIGEST).exists()
    assert store.read(DIGEST, len(DATA)) == DATA


def test_a_copy_whose_upload_never_came_stays_for_a_day(sites, monkeypatch):
    site = sites("memory")
    store = site.host("one")

    def dies(*_given):
        raise KeyboardInterrupt

    monkeypatch.setattr(store._publisher, "publish", dies)
    with pytest.raises(KeyboardInterrupt):
        unknown(store)
    for seconds, gone in ((FRESH + 1, 0), (LOST + 1, len(DATA))):
        later = store._clock() + seconds * 10**9
        same = site.host("one", options={"cache_bytes": 1}, clock=lambda later=later: later)
        assert same._cache.make_room(1) == gone


@pytest.mark.parametrize("kind", ["memory", "moto", "s3rver"])
def test_what_a_bucket_has_in_quarantine_is_listed_and_goes_when_it_is_old(kind, sites):
    site = sites(kind)
    site.road.put(f"{layout.QUARANTINE}/{DIGEST}.1", b"wrong")
    site.road.put(f"{layout.QUARANTINE}/{DIGEST}.2", b"wrong too")
    store = site.host()
    seen = {one.path: one for one in store.inventory().quarantine}
    assert [one.size for one in seen.values()] == [5, 9]
    first, second = seen
    assert site.road.get(first) == b"wrong"
    assert not store.discard(first, older_than=3600)
    assert not store.discard(f"{layout.QUARANTINE}/never", older_than=-3600)
    assert store.discard(first, older_than=-3600)
    assert [one.path for one in store.inventory().quarantine] == [second]
    assert site.road.listed() == [second]
