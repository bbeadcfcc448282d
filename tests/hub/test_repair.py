"""Repair: who uses a damaged file waits a little longer, and that is all."""

import logging
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import text

from modelhub.errors import IntegrityError, InvalidInput, Offline
from modelhub.store.blocks import BLOCK
from modelhub.store.testing import pattern
from tests.store.hands import flip, names
from tests.zoo.repos import chat_answers

from .conftest import MODEL
from .hands import still

CARD = "README.md"
Q8 = "zoo-chat-q8_0.gguf"
OTHER = "other/same-weights"


@pytest.fixture
def pulled(hub, server):
    folder = hub.pull(f"{MODEL}:q8_0").path
    server.reset_counts()
    return folder


def blob(folder, name=Q8):
    """The blob of a snapshot's file, found by its inode."""
    look = (folder / name).stat()
    (found,) = [
        path
        for path in (folder.parents[3] / "blobs").glob("sha256/*/*")
        if path.stat().st_ino == look.st_ino
    ]
    return found


def events(caplog, name):
    return [record for record in caplog.records if record.message == name]


def test_a_pull_repairs_what_is_damaged_and_says_so(hub, server, pulled, zoo_gguf, caplog):
    caplog.set_level(logging.INFO)
    path = blob(pulled)
    flip(path)
    again = hub.pull(f"{MODEL}:q8_0")
    assert again.fetched_bytes == path.stat().st_size == server.bytes_sent(Q8)
    assert (pulled / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()
    assert (pulled / Q8).samefile(path)
    (told,) = events(caplog, "artifact_damaged")
    assert (told.hash, told.repositories) == (path.name, [MODEL])
    kept = Path(hub.settings.home) / "store" / told.quarantine_path
    assert kept.stat().st_size == path.stat().st_size
    (mended,) = events(caplog, "artifact_repaired")
    assert (mended.hash, mended.bytes) == (path.name, path.stat().st_size)
    server.reset_counts()
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert server.requests == []
    assert hub.verify(MODEL).ok


def test_a_chat_repairs_what_is_damaged(make_hub, server, pulled):
    pytest.importorskip("xllamacpp", reason="no llama.cpp for this Python")
    flip(blob(pulled), 1_000_000)
    case = next(case for case in chat_answers() if len(case.messages) == 1)
    reply = make_hub().chat(f"{MODEL}:q8_0", case.messages, max_tokens=2, temperature=0)
    assert reply.text
    assert server.bytes_sent(Q8) > 0


def test_every_folder_has_it_again_at_once(hub, server, pulled, zoo_gguf, caplog):
    caplog.set_level(logging.INFO)
    server.add(OTHER, zoo_gguf)
    twin = hub.pull(f"{OTHER}:q8_0").path
    flip(twin / Q8)
    hub.pull(f"{MODEL}:q8_0")
    for folder in (pulled, twin):
        assert (folder / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()
        assert (folder / Q8).samefile(blob(pulled))
    (told,) = events(caplog, "artifact_damaged")
    assert told.repositories == [OTHER, MODEL]
    (mended,) = events(caplog, "artifact_repaired")
    assert mended.folders == 2


def test_a_folder_that_cannot_be_mended_now_is_at_its_next_use(hub, server, pulled, zoo_gguf, caplog):
    server.add(OTHER, zoo_gguf)
    twin = hub.pull(f"{OTHER}:q8_0").path
    flip(twin / Q8)
    shutil.rmtree(twin)
    twin.write_text("in the way")
    hub.pull(f"{MODEL}:q8_0")
    assert (pulled / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()
    (told,) = events(caplog, "snapshot_not_relinked")
    assert (told.model_repo_name, told.error_type) == (OTHER, "store_unavailable")
    twin.unlink()
    assert (hub.pull(f"{OTHER}:q8_0").path / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()


def test_another_repository_with_the_same_bytes_helps(hub, server, pulled, zoo_gguf, caplog):
    server.add(OTHER, zoo_gguf)
    hub.sync(OTHER)
    server.remove(MODEL)
    server.reset_counts()
    flip(blob(pulled))
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    assert (pulled / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()
    (told,) = events(caplog, "artifact_not_repaired")
    assert told.model_repo_name == MODEL


def test_what_nobody_gives_says_all_there_is_to_know(make_hub, server, pulled):
    path = blob(pulled)
    flip(path)
    with pytest.raises(IntegrityError) as caught:
        make_hub(offline=True).pull(f"{MODEL}:q8_0")
    error = caught.value
    assert isinstance(error.__cause__, Offline)
    details = error.details
    assert (details["path"], details["expected"]) == (Q8, path.name)
    assert details["actual"] not in (None, path.name)
    assert details["repositories"] == [MODEL]
    for part in (Q8, path.name, details["actual"], details["kept"], MODEL, "offline"):
        assert part in error.message
    assert "offline=False" in error.hint
    assert "only what is damaged is fetched" in error.hint
    assert (path.parents[3] / details["kept"]).exists()
    assert names(pulled) == [CARD]
    assert server.requests == []
    assert make_hub().pull(f"{MODEL}:q8_0").fetched_bytes == server.bytes_sent(Q8) > 0


def test_metadata_that_is_damaged_is_fetched_by_the_sync(hub, make_hub, server, pulled, caplog):
    folder = Path(hub.settings.home) / "store" / "blobs" / "sha256"
    card = next(path for path in folder.glob("*/*") if path.stat().st_size < 65_536)
    flip(card)
    with hub._registry.begin() as tx:
        tx.session.execute(text("UPDATE model_repo_revision SET reader = 'an older one'"))
    hub.sync(MODEL)
    (told,) = events(caplog, "artifact_damaged")
    assert (told.hash, told.repositories) == (card.name, [MODEL])
    assert hub.verify(MODEL).ok
    flip(card)
    server.reset_counts()
    assert hub.recipes.match(MODEL) == ()
    assert server.bytes_sent(CARD) > 0


def test_levels_say_how_much_is_read(make_hub, server, pulled, monkeypatch):
    path = blob(pulled)
    still(monkeypatch, path)
    flip(path)
    for level in ("proof", "off"):
        assert make_hub(verify=level).pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert make_hub(verify="full").pull(f"{MODEL}:q8_0", verify="off").fetched_bytes == 0
    assert make_hub().pull(f"{MODEL}:q8_0", verify="full").fetched_bytes == path.stat().st_size
    monkeypatch.undo()
    with pytest.raises(InvalidInput, match="verify must be one of proof, full, off") as caught:
        make_hub().pull(f"{MODEL}:q8_0", verify="much")
    assert caught.value.details["field"] == "verify"
    with pytest.raises(InvalidInput, match="verify"):
        make_hub(verify="much")


def test_off_reads_nothing_although_no_proof_holds(make_hub, pulled):
    path = blob(pulled)
    os.utime(path)
    seen = []
    shutil.rmtree(pulled)
    make_hub(verify="off").pull(f"{MODEL}:q8_0", progress=seen.append)
    assert (pulled / Q8).samefile(path)
    assert not [one for one in seen if one.stage == "verify" and one.done >= path.stat().st_size]
    make_hub().pull(f"{MODEL}:q8_0", progress=seen.append)
    assert [one for one in seen if one.stage == "verify" and one.done >= path.stat().st_size]


@pytest.fixture
def large(server, zoo_gguf, tmp_path):
    """A repository whose file has five blocks and a half."""
    folder = tmp_path / "large"
    folder.mkdir()
    shutil.copy(zoo_gguf / CARD, folder)
    data = (zoo_gguf / Q8).read_bytes()
    (folder / Q8).write_bytes(data + pattern(44_000_000 - len(data)))
    server.add("zoo/large-GGUF", folder)
    return folder / Q8


def test_of_a_large_file_only_the_damaged_block_is_fetched(hub, server, large, caplog):
    caplog.set_level(logging.INFO)
    folder = hub.pull("zoo/large-GGUF:q8_0").path
    flip(blob(folder), 20_000_000)
    server.reset_counts()
    hub.pull("zoo/large-GGUF:q8_0")
    assert (folder / Q8).read_bytes() == large.read_bytes()
    assert 0 < server.bytes_sent(Q8) <= BLOCK
    assert len(events(caplog, "artifact_damaged")) == len(events(caplog, "artifact_repaired")) == 1
    os.truncate(blob(folder), 30_000_000)
    server.reset_counts()
    hub.pull("zoo/large-GGUF:q8_0")
    assert (folder / Q8).read_bytes() == large.read_bytes()
    assert server.bytes_sent(Q8) <= 44_000_000 - 3 * BLOCK
