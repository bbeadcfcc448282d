"""`modelhub gc`: what it prints, and what it takes."""

import json

import pytest

from modelhub.store import Expected, FileLedger, Store
from tests.cli.conftest import MODEL


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def stray(run, home):
    """A file that no record knows, in a store that the database knows."""
    import io

    assert run("pull", f"{MODEL}:q4_0")[0] == 0
    with Store.open(home / "store", FileLedger(home / "other.jsonl")) as store:
        return store.put(io.BytesIO(b"stray"), expect=Expected()).digest


def test_du_shows_one_repository_or_all(run, stray):
    status, out, _ = run("du")
    assert status == 0
    assert MODEL in out
    assert "sharing saves 0 B" in out
    status, out, _ = run("du", MODEL, "--json")
    assert [repo["repo"] for repo in json.loads(out)["repos"]] == [MODEL]
    assert run("du", "no/such")[0] == 1


def test_gc_shows_and_deletes(run, home, stray):
    blob = home / "store" / "blobs" / "sha256" / stray[:2] / stray
    status, out, _ = run("gc", "--dry-run")
    assert status == 0
    assert "0 things would be collected" in out  # a day has not gone by
    status, out, _ = run("gc", "--grace", "0", "--json")
    assert (status, json.loads(out)["items"]) == (0, [])
    assert blob.exists()
    run("forget", MODEL)
    status, out, _ = run("gc", "--grace", "0", "--forgotten")
    assert status == 0
    assert "things are collected" in out
    assert "its repository was forgotten" in out
    assert run("gc", "--grace", "-1")[0] == 2
