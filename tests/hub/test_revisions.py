"""Commits: what a second sync costs, what a moved or lost branch leaves, what names have meant."""

import shutil

import pytest

from modelhub.errors import GatedRepository, RepositoryNotFound
from modelhub.facts import SyncStatus
from modelhub.jobs import sync as sync_job
from tests.zoo.repos import chat_answers

from .conftest import MODEL


@pytest.fixture
def newer(zoo_gguf, tmp_path):
    """The repository at its next commit: one of its quantizations has gone, another file has come."""
    folder = tmp_path / "newer"
    shutil.copytree(zoo_gguf, folder)
    for path in folder.glob("*q4_0.gguf"):
        path.unlink()
    (folder / "NEWS.txt").write_text("q4_0 has gone\n")
    return folder


def test_a_second_sync_of_a_commit_is_one_request(hub, server):
    first = hub.sync(MODEL)
    server.reset_counts()
    assert hub.sync(MODEL) == first
    (request,) = server.requests
    assert request.path.startswith(f"/api/models/{MODEL}")
    assert hub.repos()[0].sync_status is SyncStatus.COMPLETED


def test_another_hub_on_the_same_registry_needs_one_request_too(make_hub, server):
    with make_hub() as first:
        first.sync(MODEL)
    server.reset_counts()
    make_hub().sync(MODEL)
    assert len(server.requests) == 1


def test_a_commit_is_read_again_when_its_source_describes_it_otherwise(make_hub, server):
    hub = make_hub(hf_token="consented")
    hub.sync(MODEL)
    server.set_gated(MODEL, True, token="consented")
    server.reset_counts()
    assert "gated" in {warning.code for warning in hub.sync(MODEL).warnings}
    paths = [request.path for request in server.requests]
    assert sum(path.endswith(".gguf") for path in paths) >= 1  # the header
    assert not any("/tree/" in path or path.endswith("README.md") for path in paths)


def test_a_repository_that_is_gated_since_says_so_and_stays_known(hub, server):
    before = hub.sync(MODEL)
    server.set_gated(MODEL, True)
    with pytest.raises(GatedRepository):
        hub.sync(MODEL)
    assert hub.inspect(MODEL) == before


def test_a_commit_is_read_again_by_a_modelhub_that_reads_otherwise(hub, server, monkeypatch):
    hub.sync(MODEL)
    monkeypatch.setattr(sync_job, "READER", sync_job.READER + 1)
    server.reset_counts()
    hub.sync(MODEL)
    assert len(server.requests) > 1
    server.reset_counts()
    hub.sync(MODEL)
    assert len(server.requests) == 1


def test_a_forgotten_repository_that_comes_back_is_whole(hub, server):
    before = hub.sync(MODEL)
    hub.forget(MODEL)
    assert hub.sync(MODEL) == before


def test_a_moved_branch_adds_a_commit_and_keeps_the_old(hub, server, newer):
    old = hub.sync(MODEL)
    server.push(MODEL, newer)
    new = hub.sync(MODEL)
    assert old.commit != new.commit == hub.inspect(MODEL).commit
    meant = hub.revisions(MODEL)
    assert [(ref.name, ref.commit) for ref in meant] == [("main", new.commit), ("main", old.commit)]
    assert meant[1].first_seen_at <= meant[1].last_seen_at <= meant[0].first_seen_at
    assert old.commit[:12] in str(meant[1])
    assert hub.inspect(f"{MODEL}@{old.commit}") == old
    assert hub.repos()[0].git_head == new.commit


def test_a_branch_that_moves_back_means_the_known_commit_again(hub, server, zoo_gguf, newer):
    old = hub.sync(MODEL)
    server.push(MODEL, newer)
    hub.sync(MODEL)
    server.push(MODEL, zoo_gguf)
    server.reset_counts()
    assert hub.sync(MODEL) == old
    assert len(server.requests) == 1
    assert [ref.commit for ref in hub.revisions(MODEL)][::2] == [old.commit, old.commit]


def test_files_that_vanish_upstream_stay_known_and_usable(hub, server, newer):
    case = next(case for case in chat_answers() if len(case.messages) == 1)
    question = case.messages[0]["content"]
    old = hub.pull(f"{MODEL}:q4_0")
    server.push(MODEL, newer)
    new = hub.sync(MODEL)
    assert "q4_0" not in {variant.name for variant in new.models[0].variants}
    server.remove(MODEL)  # and then the whole repository
    with pytest.raises(RepositoryNotFound):
        hub.sync(MODEL)
    assert hub.repos()[0].sync_status is SyncStatus.ERROR
    pinned = f"{MODEL}@{old.commit}"
    assert any(file.path.endswith("q4_0.gguf") for file in hub.files(pinned))
    assert hub.pull(f"{pinned}:q4_0").fetched_bytes == 0
    assert hub.chat(f"{pinned}:q4_0", question, temperature=0).text
    with pytest.raises(RepositoryNotFound):
        hub.pull(f"{pinned}:q8_0")  # never fetched, and gone


def test_the_history_of_what_is_not_known(hub):
    with pytest.raises(RepositoryNotFound):
        hub.revisions("zoo/never-seen")
