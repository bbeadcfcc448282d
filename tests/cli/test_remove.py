"""`modelhub forget` and `modelhub purge`: what they print, and when they ask."""

import io
import json
import shutil
import sys

import pytest

from tests.cli.conftest import MODEL


class Terminal(io.StringIO):
    """Standard input with somebody in front of it."""

    def isatty(self):
        return True


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def blobs(home):
    return lambda: [path for path in (home / "store" / "blobs").rglob("*") if path.is_file()]


@pytest.fixture
def pulled(run):
    assert run("pull", f"{MODEL}:q4_0")[0] == 0


def answer(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", Terminal(text))


def test_forget_takes_it_out_of_the_list(run, pulled, blobs):
    status, out, _ = run("forget", MODEL)
    assert status == 0
    assert out.startswith(f"{MODEL} is forgotten; 2 files of it")
    assert run("ls") == (0, "", "none\n")
    assert len(blobs()) == 2
    status, out, err = run("--offline", "inspect", MODEL)
    assert (status, out) == (1, "")
    assert f"{MODEL} is not known" in err
    assert run("sync", MODEL)[0] == 0
    assert json.loads(run("forget", MODEL, "--json")[1])["files"] == 2


def test_purge_without_a_terminal_needs_to_be_told_yes(run, pulled, blobs, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    status, out, err = run("purge", MODEL)
    assert (status, out) == (2, "")
    assert "--yes" in err
    assert len(blobs()) == 2
    status, out, _ = run("purge", MODEL, "--yes")
    assert status == 0
    assert f"{MODEL} is purged: 1 commit, 1 model, 1 folder" in out
    assert blobs() == []


def test_a_dry_run_only_shows(run, pulled, blobs):
    status, out, _ = run("purge", MODEL, "--dry-run")
    assert status == 0
    assert "would be purged" in out
    assert "zoo-chat-q4_0.gguf" in out
    shown = json.loads(run("purge", MODEL, "--dry-run", "--json")[1])
    assert shown["dry_run"]
    assert len(shown["removed"]) == len(blobs()) == 2


def test_purge_asks_on_a_terminal(run, pulled, blobs, monkeypatch):
    answer(monkeypatch, "n\n")
    status, out, err = run("purge", MODEL)
    assert (status, out.strip()) == (1, "")
    assert "would be purged" in err
    assert "Delete it?" in err
    assert len(blobs()) == 2
    answer(monkeypatch, "y\n")
    status, out, _ = run("purge", MODEL)
    assert status == 0
    assert "is purged" in out
    assert blobs() == []


def test_a_file_that_another_one_has_is_named_with_it(run, pulled, blobs, tmp_path, home):
    (kept,) = (home / "store" / "snapshots").rglob("*q4_0.gguf")
    twin = tmp_path / "twin"
    twin.mkdir()
    shutil.copy(kept, twin)
    assert run("pull", str(twin))[0] == 0
    status, out, _ = run("purge", MODEL, "--yes", "--json")
    assert status == 0
    (file,) = json.loads(out)["kept"]
    assert file["users"] == ["local/twin"]
    assert [path.name for path in blobs()] == [file["sha256"]]


def test_what_is_unknown_or_a_part_is_refused(run, pulled):
    for command in (["forget"], ["purge", "--yes"]):
        status, out, err = run(*command, "zoo/none")
        assert (status, out) == (1, "")
        assert "zoo/none is not known here" in err
        assert "only a whole one" in run(*command, f"{MODEL}:q4_0")[2]
