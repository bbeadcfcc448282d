"""`modelhub store`: what it prints, and what it exits with."""

import json

import pytest

from tests.cli.conftest import MODEL
from tests.store.hands import flip


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def blobs(home, run):
    assert run("pull", f"{MODEL}:q4_0")[0] == 0
    return [path for path in (home / "store" / "blobs").rglob("*") if path.is_file()]


def test_scrub_reads_all_and_tells_of_damage(run, blobs):
    status, out, _ = run("store", "scrub", "--rate", "10GB/s")
    assert status == 0
    assert f"{len(blobs)} blobs" in out
    assert json.loads(run("store", "scrub", "--json", "--older-than", "1")[1])["checked"] == 0
    flip(max(blobs, key=lambda path: path.stat().st_size))
    status, out, _ = run("--offline", "store", "scrub")
    assert status == 1
    assert "1 damaged" in out
    assert run("store", "scrub")[0] == 0
    status, out, err = run("store", "scrub", "--rate", "fast")
    assert (status, out) == (1, "")
    assert "rate: 'fast' is no size" in err


def test_check_compares_and_repairs(run, blobs):
    status, out, _ = run("store", "check", "--deep")
    assert (status, "nothing is wrong" in out) == (0, True)
    max(blobs, key=lambda path: path.stat().st_size).unlink()
    status, out, _ = run("store", "check")
    assert status == 1
    assert "missing" in out
    status, out, _ = run("store", "check", "--repair", "--json")
    assert status == 0
    assert json.loads(out)["faults"][0]["kind"] == "missing"
    assert run("pull", f"{MODEL}:q4_0")[0] == 0
    assert run("store", "check")[0] == 0
