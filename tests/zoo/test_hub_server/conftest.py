import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub.utils.tqdm import disable_progress_bars

from tests.zoo.hub_server import HubServer

from .client import CARD, REPO, WEIGHTS, write


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    files = {
        "README.md": CARD.encode(),
        "config.json": b'{"model_type": "llama"}',
        "tiny.gguf": os.urandom(WEIGHTS),
        "onnx/model.onnx": os.urandom(4096),
        "onnx/config.json": b"{}",
        "empty.txt": b"",
    }
    return write(tmp_path_factory.mktemp("repo"), files)


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[HubServer]:
    with HubServer({REPO: folder}) as server:
        yield server


@pytest.fixture
def server(shared: HubServer) -> HubServer:
    shared.reset_counts()
    return shared


@pytest.fixture
def own(folder: Path) -> Iterator[HubServer]:
    with HubServer({REPO: folder}) as server:
        yield server


@pytest.fixture(autouse=True)
def quiet_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is used as on a machine that holds no token and is online."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    disable_progress_bars()
