"""What `pull` gives is a folder that other programs open as it is."""

import errno
import os
from pathlib import Path

import pytest

from modelhub.store.fsops import FsOps
from tests.zoo.repos import build_chat

CHAT = "zoo/tiny-chat"


@pytest.fixture(params=["hardlink", "symlink", "copy"])
def folder(request, make_hub, server, tmp_path, monkeypatch):
    """A pulled folder whose weights are linked so, on a file system that has no better way."""

    def failing(*_given, **_named):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    lacking = {"hardlink": (), "symlink": ("link",), "copy": ("link", "symlink", "reflink")}
    for name in lacking[request.param]:
        monkeypatch.setattr(FsOps, name, failing)
    server.add(CHAT, build_chat(tmp_path / "chat"))
    snapshot = make_hub().pull(CHAT)
    (weights,) = [file for file in snapshot.files if file.path.endswith(".safetensors")]
    assert weights.link == (request.param if weights.size >= 65_536 else "copy")
    return snapshot.path


def test_transformers_opens_it(folder: Path) -> None:
    pytest.importorskip("torch", reason="no PyTorch for this Python")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True)
    tokens = tokenizer("What is the capital of France?", return_tensors="pt")
    assert model(**tokens).logits.shape[:2] == tokens["input_ids"].shape


def test_safetensors_opens_it(folder: Path) -> None:
    safetensors = pytest.importorskip("safetensors", reason="no PyTorch for this Python")
    (path,) = folder.glob("*.safetensors")
    with safetensors.safe_open(path, framework="numpy") as tensors:
        assert list(tensors.keys())
