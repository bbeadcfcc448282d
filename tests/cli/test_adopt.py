"""`modelhub adopt-hf-cache`: what it prints, and what it exits with."""

import json

import pytest
from huggingface_hub import snapshot_download

from tests.cli.conftest import MODEL


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


def test_a_cache_is_adopted(run, server, tmp_path, monkeypatch):
    cache = tmp_path / "hf" / "hub"
    snapshot_download(MODEL, endpoint=server.endpoint, cache_dir=cache, token=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    status, out, _ = run("--offline", "adopt-hf-cache")
    assert status == 0
    assert MODEL in out
    assert "0 rejected" in out
    assert "sync it next" in out
    max(cache.glob("models--*/blobs/*"), key=lambda path: path.stat().st_size).write_bytes(b"")
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "other"))
    status, out, _ = run("adopt-hf-cache", str(cache), "--mode", "copy", "--json")
    assert status == 1
    assert len(json.loads(out)["rejected"]) == 1


def test_a_cache_is_made(run, tmp_path):
    status, out, _ = run("export-hf-cache", f"{MODEL}:q4_0", str(tmp_path / "made"), "--json")
    assert status == 0
    path = json.loads(out)["commits"][0]["path"]
    assert snapshot_download(MODEL, cache_dir=tmp_path / "made", local_files_only=True) == path
    assert MODEL in run("export-hf-cache", f"{MODEL}:q4_0", str(tmp_path / "made"))[1]


def test_wrong_usage_is_told(run, tmp_path):
    assert run("adopt-hf-cache", str(tmp_path / "nowhere"))[0] == 1
    status, _, err = run("adopt-hf-cache", str(tmp_path), "--mode", "move")
    assert status == 1
    assert "mode: 'move'" in err
