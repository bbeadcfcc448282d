"""Verify: every byte that is here is read again, and what is wrong is out of the way."""

import logging
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhub.errors import (
    ArtifactNotFound,
    DeadlineExceeded,
    HubClosed,
    IntegrityError,
    RepositoryNotFound,
    RevisionNotFound,
    VariantNotFound,
)
from modelhub.facts import Verification
from tests.store.hands import flip, names

from .conftest import MODEL
from .hands import still

CARD = "README.md"
Q4, Q8 = "zoo-chat-q4_0.gguf", "zoo-chat-q8_0.gguf"


def states(found):
    return {file.path: str(file.state) for file in found.files}


def blob(hub, found, path):
    (digest,) = [file.sha256 for file in found.files if file.path == path]
    return Path(hub.settings.home) / "store" / "blobs" / "sha256" / digest[:2] / digest


@pytest.fixture
def pulled(hub, server):
    """The folder with two variants; nothing has been asked of the server since."""
    hub.pull(f"{MODEL}:q4_0")
    folder = hub.pull(f"{MODEL}:q8_0").path
    server.reset_counts()
    return folder


def test_what_is_right_is_right_and_nobody_is_asked(hub, server, pulled, caplog):
    caplog.set_level(logging.INFO, "modelhub.hub.verify")
    seen = []
    found = hub.verify(MODEL, progress=seen.append)
    assert found.ok
    assert states(found) == {CARD: "ok", Q4: "ok", Q8: "ok"}
    assert found.absent == 3  # two variants, and .gitattributes
    assert {progress.stage for progress in seen} == {"verify"}
    assert seen[-1].done == seen[-1].total == sum(file.size for file in found.files)
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)
    assert server.requests == []
    assert "3 of 3 files are right, 3 never fetched" in str(found)
    assert "\n" not in repr(found)
    (event,) = [log for log in caplog.records if log.message == "repo_verified"]
    assert (event.model_repo_name, event.damaged, event.missing) == (MODEL, 0, 0)


def test_a_variant_is_verified_alone(hub, pulled):
    assert states(hub.verify(f"{MODEL}:q8_0")) == {CARD: "ok", Q8: "ok"}
    assert states(hub.verify(MODEL, variant="q8_0")) == {CARD: "ok", Q8: "ok"}
    assert set(states(hub.verify(f"{MODEL}:gguf"))) == {CARD, Q4, Q8}
    fp16 = hub.verify(f"{MODEL}:fp16")
    assert (states(fp16), fp16.absent, fp16.ok) == ({CARD: "ok"}, 1, True)
    with pytest.raises(VariantNotFound):
        hub.verify(f"{MODEL}:q9_9")


def test_a_flipped_byte_is_found_and_only_that_file_is_fetched_again(hub, server, pulled, zoo_gguf):
    flip(blob(hub, hub.verify(MODEL), Q8))
    found = hub.verify(MODEL)
    assert states(found) == {CARD: "ok", Q4: "ok", Q8: "damaged"}
    (damaged,) = found.damaged
    assert not found.ok
    assert damaged.found not in (None, damaged.sha256)
    kept = Path(hub.settings.home) / "store" / damaged.kept
    assert kept.read_bytes() != (zoo_gguf / Q8).read_bytes()
    assert kept.stat().st_size == damaged.size
    assert f"! {Q8}: its sha256 should be {damaged.sha256}, but it is {damaged.found}" in str(found)
    assert names(pulled) == [CARD, Q4]

    again = hub.verify(MODEL)
    assert states(again) == {CARD: "ok", Q4: "ok", Q8: "missing"}
    assert not again.ok
    assert "1 missing" in str(again)

    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes == 0
    assert server.requests == []
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == damaged.size
    assert server.bytes_sent(Q8) == damaged.size
    assert server.bytes_sent(Q4) == 0
    assert (pulled / Q8).read_bytes() == (zoo_gguf / Q8).read_bytes()
    assert hub.verify(MODEL).ok


def test_damage_through_a_snapshot_is_found_and_taken_out_of_every_snapshot(
    hub, server, pulled, zoo_gguf
):
    server.add("other/same-weights", zoo_gguf)
    twin = hub.pull("other/same-weights:q8_0").path
    flip(twin / Q8)
    assert states(hub.verify(MODEL))[Q8] == "damaged"
    assert not (pulled / Q8).exists()
    assert not (twin / Q8).exists()
    assert states(hub.verify("other/same-weights")) == {CARD: "ok", Q4: "ok", Q8: "missing"}


def test_what_no_proof_shows_is_found(hub, pulled, monkeypatch):
    """A disk that loses a bit moves no time: pull believes its proof, verify reads."""
    path = blob(hub, hub.verify(MODEL), Q8)
    still(monkeypatch, path)
    flip(path)
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert states(hub.verify(MODEL))[Q8] == "damaged"


def test_a_file_of_another_size_is_damaged_and_one_that_is_gone_is_missing(hub, pulled):
    found = hub.verify(MODEL)
    longer, gone = blob(hub, found, Q8), blob(hub, found, Q4)
    longer.chmod(0o644)
    with longer.open("ab") as file:
        file.write(b"more" * 100_000)
    gone.unlink()
    seen = []
    found = hub.verify(MODEL, progress=seen.append)
    assert states(found) == {CARD: "ok", Q4: "missing", Q8: "damaged"}
    assert all(progress.done <= progress.total for progress in seen)
    assert seen[-1].done == seen[-1].total


def test_what_the_registry_forgot_is_verified_by_its_name(make_hub, tmp_path, pulled):
    """A store that was moved, or has another database, has no record of what is in it."""
    other = make_hub(home=tmp_path / "other", store=tmp_path / "home" / "store")
    other.sync(MODEL)
    assert states(other.verify(MODEL)) == {CARD: "ok", Q4: "ok", Q8: "ok"}
    flip(pulled / Q4)
    assert states(other.verify(MODEL))[Q4] == "damaged"


def test_the_same_bytes_under_two_names_are_read_once(hub, tmp_path):
    folder = tmp_path / "twins"
    folder.mkdir()
    for name in ("config.json", "generation_config.json"):
        (folder / name).write_text('{"architectures": ["None"]}')
    hub.sync(folder)
    seen = []
    found = hub.verify(folder, progress=seen.append)
    assert set(states(found).values()) == {"ok"}
    assert len(found.files) == 2
    assert seen[-1].total == found.files[0].size
    flip(blob(hub, found, "config.json"))
    assert set(states(hub.verify(folder)).values()) == {"damaged"}
    shutil.rmtree(folder)
    assert set(states(hub.verify("local://local/twins")).values()) == {"missing"}


def test_what_was_never_here_is_told_apart(hub, make_hub, server, zoo_gguf, tmp_path):
    with pytest.raises(RepositoryNotFound, match="is not known here") as caught:
        hub.verify(MODEL)
    assert "modelhub ls" in caught.value.hint
    hub.register(MODEL)
    with pytest.raises(RevisionNotFound, match=r"'main' .* is not known here") as caught:
        hub.verify(MODEL)
    assert "never synced" in caught.value.hint
    assert server.requests == []
    hub.sync(MODEL)
    with pytest.raises(RevisionNotFound, match="v9") as caught:
        hub.verify(f"{MODEL}@v9")
    assert "main" in caught.value.hint
    assert states(hub.verify(MODEL)) == {CARD: "ok"}

    (tmp_path / "bare").mkdir()
    shutil.copy(zoo_gguf / Q4, tmp_path / "bare")
    server.add("zoo/bare", tmp_path / "bare")
    hub.sync("zoo/bare")
    server.reset_counts()
    nothing = make_hub(offline=True).verify("zoo/bare")
    assert (nothing.files, nothing.ok) == ((), True)
    assert "none of it is here, 1 never fetched" in str(nothing)
    assert server.requests == []


def test_a_fact_survives_json(hub, pulled):
    flip(blob(hub, hub.verify(MODEL), Q8))
    found = hub.verify(MODEL)
    written = found.model_dump()
    assert written["ok"] is False
    assert Verification.model_validate(written) == found


def test_it_stops_when_told_to_and_leaves_all_as_it_was(hub, make_hub, pulled):
    with pytest.raises(DeadlineExceeded):
        hub.verify(MODEL, timeout=1e-9)
    closer = threading.Thread(target=hub.close)

    def close(progress):
        if progress.item == Q4 and not closer.ident:
            closer.start()
            while not hub._calls.closed:
                pass

    with pytest.raises(HubClosed):
        hub.verify(MODEL, progress=close)
    closer.join()
    assert make_hub().verify(MODEL).ok


@pytest.mark.soak
def test_beside_pulls_of_the_same_files_nothing_is_ever_wrong(hub, server, pulled, zoo_gguf, rounds):
    right = (zoo_gguf / Q8).read_bytes()
    path = blob(hub, hub.verify(MODEL), Q8)

    def use(name):
        try:
            return hub.verify(MODEL) if name == "verify" else hub.pull(f"{MODEL}:q8_0")
        except (IntegrityError, ArtifactNotFound):
            return None  # put aside under its hands: it says so, and the next pull brings it

    for number in range(rounds(5, 50)):
        if number % 2:
            flip(path)
        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(use, ["verify", "pull", "verify", "pull"]))
        if number % 2 == 0:
            assert all(result is not None for result in results)
            assert all(result.ok for result in results if isinstance(result, Verification))
        assert (hub.pull(f"{MODEL}:q8_0").path / Q8).read_bytes() == right
        assert hub.verify(MODEL).ok
