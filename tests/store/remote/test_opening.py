"""What is said of places that cannot be opened, and of servers that do not answer."""

import io
import sys

import pytest

from modelhub.errors import AccessDenied, StoreUnavailable
from modelhub.refs import Digest
from modelhub.store import Expected, FileLedger, Store, StoreOptions


@pytest.fixture
def ledger(tmp_path):
    ledger = FileLedger(tmp_path / "ledger.jsonl")
    yield ledger
    ledger.close()


@pytest.mark.parametrize("place", ["s3://", "s3:///models", "s3://key:secret@bucket/x", "s3://b/x?v=1"])
def test_other_addresses_are_refused_without_showing_what_may_be_a_secret(place, tmp_path, ledger):
    with pytest.raises(StoreUnavailable, match="s3://bucket/prefix") as caught:
        Store.open(place, ledger, options=StoreOptions(cache=tmp_path))
    assert "secret" not in str(caught.value)
    assert "secret" not in str(caught.value.details)


def test_copies_need_a_folder(ledger):
    with pytest.raises(StoreUnavailable, match="cache=folder"):
        Store.open("memory://nowhere", ledger)


def test_a_missing_s3fs_is_named_with_its_extra(tmp_path, ledger, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(StoreUnavailable) as caught:
        Store.open("s3://bucket/models", ledger, options=StoreOptions(cache=tmp_path))
    assert 'pip install "modelhub[s3]"' in caught.value.hint


def test_a_store_opens_without_a_network_and_says_who_does_not_answer(tmp_path, ledger, login):
    login("moto")
    options = StoreOptions(cache=tmp_path, endpoint="http://127.0.0.1:9")
    with Store.open("s3://bucket/models", ledger, options=options) as store:
        with pytest.raises(StoreUnavailable, match="s3://bucket/models") as caught:
            store.find([Digest.of(b"x")])
        assert caught.value.hint
        assert "testing" not in str(caught.value)


def test_a_refused_login_is_told_from_a_missing_server(sites, faulty):
    address, faults = faulty("moto")
    store = sites("moto", address).host()
    faults.plan = lambda number, method, path: "403"
    with pytest.raises(AccessDenied, match="does not let us") as caught:
        store.put(io.BytesIO(b"bytes"), expect=Expected())
    assert "credentials" in caught.value.hint
    assert len(faults.injected) < 4  # asking again does not help


def test_a_bucket_that_is_not_there_is_said_to_be_missing(sites):
    site = sites("moto")
    site.road.uri = "s3://no-such-bucket/models"
    with pytest.raises(StoreUnavailable, match=r"no-such-bucket.*bucket does not exist"):
        site.host().put(io.BytesIO(b"bytes"), expect=Expected())
