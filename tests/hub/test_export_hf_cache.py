"""What `export_hf_cache` makes is a cache that the real clients read without a network."""

import errno
import os
import shutil

import pytest
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

from modelhub.errors import InvalidInput, StoreUnavailable
from modelhub.store.fsops import FsOps
from tests.hub.conftest import MODEL
from tests.zoo.repos import build_chat

CHAT = "zoo/tiny-chat"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "exported"


def blob_of(hub, file):
    return hub._resolver.syncer.store.path(file.sha256)


def test_huggingface_hub_reads_it(hub, server, cache):
    done = hub.export_hf_cache(f"{MODEL}:q4_0", cache)
    server.reset_counts()
    found = snapshot_download(MODEL, cache_dir=cache, local_files_only=True)
    assert done.path.samefile(found)
    for file in hub.pull(f"{MODEL}:q4_0").files:
        path = hf_hub_download(MODEL, file.path, cache_dir=cache, local_files_only=True)
        assert (done.path / file.path).samefile(path)
        assert (done.path / file.path).read_bytes() == blob_of(hub, file).read_bytes()
    scanned = scan_cache_dir(cache)
    assert scanned.warnings == []
    (repo,) = scanned.repos
    (revision,) = repo.revisions
    assert (repo.repo_id, revision.commit_hash, revision.refs) == (
        MODEL,
        server.commit(MODEL),
        frozenset({"main"}),
    )
    assert server.requests == []


def test_transformers_reads_it(hub, server, cache, tmp_path):
    pytest.importorskip("torch", reason="no PyTorch for this Python")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    server.add(CHAT, build_chat(tmp_path / "chat"))
    hub.export_hf_cache(CHAT, cache)
    server.reset_counts()
    given = {"cache_dir": cache, "local_files_only": True}
    tokens = AutoTokenizer.from_pretrained(CHAT, **given)("What is this?", return_tensors="pt")
    model = AutoModelForCausalLM.from_pretrained(CHAT, **given)
    assert model(**tokens).logits.shape[:2] == tokens["input_ids"].shape
    assert server.requests == []


def test_weights_take_no_room_and_their_proofs_hold(hub, cache, monkeypatch):
    done = hub.export_hf_cache(f"{MODEL}:q4_0", cache)
    large = max(hub.pull(f"{MODEL}:q4_0").files, key=lambda file: file.size)
    exported = done.path / large.path
    assert exported.samefile(blob_of(hub, large))
    assert exported.stat().st_mode & 0o222 == 0
    assert done.commits[0].copied_bytes < large.size

    def unread(*_args):
        raise AssertionError("it was proven")

    monkeypatch.setattr("modelhub.store.blobs.sha256_of", unread)
    assert hub.pull(f"{MODEL}:q4_0").fetched_bytes == 0
    assert hub.export_hf_cache(f"{MODEL}:q4_0", cache).commits == done.commits, "again is the same"
    assert [path.name for path in done.path.rglob(".*")] == []


def test_without_links_it_copies(hub, cache, monkeypatch):
    def failing(*_given, **_named):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    hub.pull(f"{MODEL}:q4_0")
    for name in ("link", "reflink"):
        monkeypatch.setattr(FsOps, name, failing)
    done = hub.export_hf_cache(f"{MODEL}:q4_0", cache)
    assert done.commits[0].copied_bytes == done.commits[0].bytes
    for file in hub.pull(f"{MODEL}:q4_0").files:
        assert (done.path / file.path).read_bytes() == blob_of(hub, file).read_bytes()
        assert not (done.path / file.path).samefile(blob_of(hub, file))


def test_a_revision_keeps_its_name(hub, server, cache, tmp_path, zoo_gguf):
    first = server.commit(MODEL)
    server.tag(MODEL, "v1", first)
    shutil.copytree(zoo_gguf, tmp_path / "next")
    (tmp_path / "next" / "README.md").write_text("# another\n")
    server.push(MODEL, tmp_path / "next")
    hub.export_hf_cache(f"{MODEL}@v1:q4_0", cache)
    refs = {path.name: path.read_text() for path in (cache.glob("models--*/refs/*"))}
    assert refs == {"v1": first}
    found = snapshot_download(MODEL, revision="v1", cache_dir=cache, local_files_only=True)
    assert found.endswith(first)
    hub.export_hf_cache(f"{MODEL}@{first}:q4_0", cache)
    assert {path.name for path in cache.glob("models--*/refs/*")} == {"v1"}


def test_what_was_exported_can_be_adopted(make_hub, cache, tmp_path):
    first = make_hub()
    done = first.export_hf_cache(f"{MODEL}:q4_0", cache)
    other = make_hub(home=tmp_path / "other")
    other.sync(MODEL)
    report = other.adopt_hf_cache(cache)
    assert report.rejected == ()
    assert report.adopted + report.present == done.commits[0].files
    assert other.pull(f"{MODEL}:q4_0").fetched_bytes == 0


def test_links_in_the_target_are_not_followed(hub, server, cache, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    commit = cache / "models--zoo--tiny-chat-GGUF" / "snapshots" / server.commit(MODEL)
    commit.mkdir(parents=True)
    victim = elsewhere / "victim"
    victim.write_bytes(b"victim")
    name = max(hub.pull(f"{MODEL}:q4_0").files, key=lambda file: file.size).path
    (commit / name).symlink_to(victim)
    done = hub.export_hf_cache(f"{MODEL}:q4_0", cache)
    assert not (done.path / name).is_symlink()
    assert victim.read_bytes() == b"victim"


def test_bad_input_is_refused(hub, tmp_path, zoo_gguf):
    with pytest.raises(InvalidInput, match="not of Hugging Face"):
        hub.export_hf_cache(zoo_gguf, tmp_path / "x")
    with pytest.raises(InvalidInput, match="path"):
        hub.export_hf_cache(MODEL, "")
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable, match="file"):
        hub.export_hf_cache(f"{MODEL}:q4_0", tmp_path / "file" / "below")
