"""An object that is wrong goes aside, and never the right one that was sent in its place."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from modelhub.errors import IntegrityError
from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.fsops import Watch
from modelhub.store.remote import s3
from modelhub.store.testing import pattern, put

from .conftest import drop_copies

DATA = pattern(50_000)
DIGEST = Digest.of(DATA)
KEY = layout.blob_path(DIGEST)
WRONG = pattern(50_000, 1)


@pytest.mark.parametrize("kind", ["memory", "moto", "s3rver"])
@pytest.mark.parametrize("moment", ["look", "copy"])
def test_a_right_object_that_was_sent_meanwhile_stays(kind, moment, sites, monkeypatch):
    """Two hosts have read the wrong object; the other sends the right one at each `moment` of the first."""
    site = sites(kind)
    one, two = site.host("one"), site.host("two")
    site.road.put(KEY, WRONG)
    objects, both = one._bucket.objects, Barrier(2, timeout=30)
    plain, met = getattr(objects, moment), []
    hashed = one._bucket._hashed

    def read(*given):
        found = hashed(*given)
        if not met and moment == "look":
            met.append("read")
            both.wait()  # the other begins
            both.wait()  # and has ended
        return found

    def copy(*given):
        plain(*given)
        if not met:
            met.append("copied")
            both.wait()
            both.wait()

    monkeypatch.setattr(one._bucket, "_hashed", read)
    if moment == "copy":
        monkeypatch.setattr(objects, "copy", copy)

    def other():
        both.wait()
        put(two, DATA)
        both.wait()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(other)
        if moment == "look":
            assert one._bucket.check(DIGEST, Watch()) == len(DATA)
        else:
            with pytest.raises(IntegrityError):
                one._bucket.check(DIGEST, Watch())
        ended.result()
    assert met
    assert site.road.get(KEY) == DATA
    drop_copies(two)
    assert one.read(DIGEST, len(DATA)) == two.read(DIGEST, len(DATA)) == DATA


def test_the_server_compares_in_the_last_moment(sites, monkeypatch):
    site = sites("moto")
    objects = site.host()._bucket.objects
    site.road.put(KEY, WRONG)
    tag = objects.look(KEY).tag
    site.road.put(KEY, DATA)
    monkeypatch.setattr(objects, "look", lambda _key: s3.Seen(len(WRONG), tag))
    objects.remove_seen(KEY, tag)
    assert site.road.get(KEY) == DATA


@pytest.mark.parametrize(
    ("kind", "size"), [("moto", 50_000), ("moto", 2 * s3.PART + 12_345), ("s3rver", 50_000)]
)
def test_what_is_there_is_known_by_its_tag_and_not_read_again(kind, size, sites, faulty):
    address, faults = faulty(kind)
    site = sites(kind, address)
    one, two = site.host("one"), site.host("two")
    data = pattern(size)
    put(one, data)
    faults.asked.clear()
    put(two, data)
    assert set(faults.asked) == {"HEAD"}


@pytest.mark.parametrize("kind", ["memory", "moto"])
def test_a_wrong_object_of_the_right_size_is_replaced(kind, sites):
    site = sites(kind)
    site.road.put(KEY, WRONG)
    put(site.host(), DATA)
    assert site.road.get(KEY) == DATA
    (kept,) = [key for key in site.road.listed() if key.startswith(layout.QUARANTINE)]
    assert site.road.get(kept) == WRONG
