"""What a Hub hands to an engine is what its name says, whatever was read of it before the fetch."""

import os
from hashlib import sha256
from pathlib import Path

import pytest

from modelhub.errors import FormatError
from modelhub.facts import Plan
from modelhub.hub.contents import ContentGate
from modelhub.runtimes.echo import EchoRuntime
from tests.hub.conftest import MODEL
from tests.zoo.hub_server import Fault
from tests.zoo.repos import build_chat

CHAT = "zoo/tiny-chat"


def swapped(server, repo: str, file: Path, offset: int) -> tuple[Fault, Fault]:
    """Declares one content of a file, and shows the other until it is told to send it."""
    data = bytearray(file.read_bytes())
    data[offset] ^= 0xFF
    digest = sha256(data).hexdigest()
    return Fault(sha256=digest), Fault(sha256=digest, flip=offset)


@pytest.mark.parametrize("offset", [0, 8, 15])  # its magic, its count of tensors
def test_a_gguf_header_that_was_another_one_at_sync(hub, server, zoo_gguf, monkeypatch, offset):
    file = next(path for path in sorted(zoo_gguf.glob("*q8_0.gguf")))
    key = f"{MODEL}/{file.name}"
    server.faults[key], sent = swapped(server, MODEL, file, offset)
    hub.sync(MODEL)
    server.faults[key] = sent
    monkeypatch.setattr(EchoRuntime, "load", None)  # nothing is loaded
    with pytest.raises(FormatError, match=f"^{file.name}: "):
        hub.chat(f"{MODEL}:q8_0", "x", runtime="echo")


@pytest.mark.parametrize("offset", [6, 8])  # its header's length, the header's brace
def test_a_safetensors_header_that_was_another_one_at_sync(hub, server, tmp_path, offset):
    folder = build_chat(tmp_path / "chat")
    server.add(CHAT, folder)
    key = f"{CHAT}/model.safetensors"
    server.faults[key], sent = swapped(server, CHAT, folder / "model.safetensors", offset)
    hub.sync(CHAT)
    server.faults[key] = sent
    with pytest.raises(FormatError, match=r"^model\.safetensors: "):
        hub.chat(CHAT, "x")


def roots(plan: Plan, folder: Path) -> dict[str, Path]:
    return {part.name: folder for part in plan.components}


def test_each_content_is_looked_at_once(hub, tmp_path):
    plan, folder = hub.plan(f"{MODEL}:q8_0"), hub.pull(f"{MODEL}:q8_0").path
    gate = ContentGate()
    gate.admit(plan, roots(plan, folder))
    gate.admit(plan, roots(plan, tmp_path / "nowhere"))  # asks for no file again
    with pytest.raises(FileNotFoundError):
        ContentGate().admit(plan, roots(plan, tmp_path / "nowhere"))


def test_an_index_names_files_of_its_folder(hub, server, tmp_path):
    folder = build_chat(tmp_path / "chat")
    server.add(CHAT, folder)
    plan = hub.plan(CHAT)
    weights = next(file for file in plan.weights if file.path == "model.safetensors")
    name = "model.safetensors.index.json"
    index = weights.model_copy(update={"path": name, "sha256": None})
    (folder / name).write_text('{"weight_map": {"a": "../../model.safetensors"}}')
    with pytest.raises(ValueError, match=r"\.\."):
        ContentGate().admit(plan.model_copy(update={"files": (index,)}), roots(plan, folder))


def test_what_is_no_regular_file_is_not_opened(hub, server, tmp_path):
    folder = build_chat(tmp_path / "chat")
    server.add(CHAT, folder)
    plan = hub.plan(CHAT)
    other = tmp_path / "other"
    other.mkdir()
    os.mkfifo(other / "model.safetensors")
    files = tuple(file for file in plan.weights if file.path == "model.safetensors")
    with pytest.raises(FormatError, match="no regular file"):
        ContentGate().admit(plan.model_copy(update={"files": files}), roots(plan, other))
