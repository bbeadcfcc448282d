"""`hub.store.check` of a store in a bucket: objects against rows, and this host's copies."""

import itertools

import pytest

from modelhub.errors import StoreUnavailable
from modelhub.facts import FaultKind
from modelhub.refs import Digest
from modelhub.store.layout import blob_path
from modelhub.store.remote.bucket import Bucket
from tests.store.hands import flip
from tests.store.remote.conftest import login, servers  # noqa: F401

from .conftest import MODEL
from .hands import end_checks_early
from .test_s3 import host, road  # noqa: F401

_numbers = itertools.count()


@pytest.fixture
def hub(make_hub, tmp_path):
    return make_hub(store=f"memory://check-{next(_numbers)}", cache=tmp_path / "cache")


@pytest.fixture
def weights(hub):
    files = hub.pull(f"{MODEL}:q4_0").files
    return next(file.sha256 for file in files if file.path.endswith(".gguf"))


@pytest.fixture
def bucket(hub):
    return hub.store._store._bucket


def give(bucket, digest, data):
    """Put an object there behind the store's back."""
    bucket.objects._fs.pipe_file(bucket.objects._path(blob_path(digest)), data)


def drop_copy(hub, digest):
    """The cache lets a blob go, with its links."""
    assert hub.store._store._local.evict(digest, lambda: True)


def kinds(report):
    return [fault.kind for fault in report.faults]


def test_nothing_is_wrong_with_what_was_pulled_or_let_go(hub, weights, bucket):
    report = hub.store.check(deep=True)
    assert report.faults == ()
    assert report.blobs == report.hashed == len(hub.store._store.inventory().blobs)
    drop_copy(hub, weights)
    assert hub.store.check(deep=True, repair=True).faults == ()


def test_an_object_that_is_gone_is_put_back_from_the_copy_here(hub, server, weights, bucket):
    server.reset_counts()
    bucket.remove(weights)
    assert kinds(hub.store.check()) == [FaultKind.MISSING]
    assert bucket.look(weights) is None
    assert hub.store.check(repair=True).ok
    assert bucket.look(weights)
    assert hub.store.check(deep=True).faults == ()
    assert server.requests == []


def test_an_object_that_is_nowhere_is_noted_and_pulled(hub, weights, bucket):
    bucket.remove(weights)
    drop_copy(hub, weights)
    (mended,) = hub.store.check(repair=True).faults
    assert mended.kind is FaultKind.MISSING
    assert f"the next pull of {MODEL}" in mended.done
    assert hub.store.check().faults == ()
    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes > 0
    assert hub.store.check(deep=True).faults == ()


def test_objects_without_a_row_are_hashed_and_noted_or_set_aside(hub, weights, bucket):
    good, bad = Digest.of(b"from a backup"), Digest.of(b"something else")
    for digest in (good, bad):
        give(bucket, digest, b"from a backup")
    assert kinds(hub.store.check()) == [FaultKind.UNKNOWN] * 2
    mended = hub.store.check(repair=True)
    assert mended.ok
    assert sorted(fault.done.split()[0] for fault in mended.faults) == ["hashed:", "moved"]
    assert bucket.look(good)
    assert bucket.look(bad) is None
    assert hub.store.check(deep=True).faults == ()


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("cut", [1, 0])
def test_wrong_objects_are_replaced_by_a_copy_or_moved_aside(hub, weights, bucket, cut, copy):
    data = bytearray(bucket.read(weights, 0, bucket.look(weights)))
    data[0] ^= 1
    bucket.remove(weights)
    give(bucket, weights, bytes(data[: len(data) - cut]))
    if not copy:
        drop_copy(hub, weights)
    assert kinds(hub.store.check()) == [FaultKind.DAMAGED] * bool(cut)
    assert kinds(hub.store.check(deep=True)) == [FaultKind.DAMAGED]
    (mended,) = hub.store.check(deep=True, repair=True).faults
    assert not mended.left
    assert (f"the next pull of {MODEL}" in mended.done) is not copy
    assert (bucket.look(weights) is not None) is copy
    hub.pull(f"{MODEL}:q4_0")
    assert hub.store.check(deep=True).faults == ()


def test_a_damaged_copy_is_replaced_from_the_bucket(hub, server, weights, bucket):
    server.reset_counts()
    flip(hub.store._store.path(weights))
    assert hub.store.check().ok
    (fault,) = hub.store.check(deep=True).faults
    assert (fault.kind, "this host's copy" in fault.reason) == (FaultKind.DAMAGED, True)
    assert hub.store.check(deep=True, repair=True).ok
    hub.pull(f"{MODEL}:q4_0")
    assert hub.store.check(deep=True).faults == ()
    assert server.requests == []


def test_a_bucket_of_a_server_is_compared_for_each_host(host, road):  # noqa: F811
    first, second = host("one"), host("two")
    files = first.pull(f"{MODEL}:q4_0").files
    second.pull(f"{MODEL}:q4_0")
    assert first.store.check(deep=True).faults == second.store.check(deep=True).faults == ()
    digest = next(file.sha256 for file in files if file.path.endswith(".gguf"))
    road.delete(blob_path(digest))
    assert kinds(first.store.check()) == kinds(second.store.check()) == [FaultKind.MISSING]
    assert second.store.check(repair=True).ok
    assert first.store.check(deep=True).faults == ()


def test_an_object_that_cannot_be_read_is_told_and_the_rest_is_looked_at(
    hub, weights, bucket, monkeypatch
):
    real = Bucket.read

    def read(self, digest, start, end):
        if digest == weights:
            raise StoreUnavailable("the server gives no bytes")
        return real(self, digest, start, end)

    monkeypatch.setattr(Bucket, "read", read)
    report = hub.store.check(deep=True)
    assert [(fault.kind, fault.reason) for fault in report.faults] == [
        (FaultKind.UNREAD, "the server gives no bytes")
    ]
    assert report.hashed == report.blobs - 1


@pytest.mark.parametrize("deep", [False, True])
def test_it_ends_at_its_timeout_and_when_it_is_cancelled(hub, weights, deep):
    end_checks_early(hub, deep=deep)
    assert hub.store.check(deep=deep).ok
