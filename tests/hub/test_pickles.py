"""Pickles through a Hub: told, scanned, loaded as plain tensors, and run only where their digest is trusted."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from modelhub.errors import FormatError, InvalidInput, ModelHubError, PickleRefused
from modelhub.hub.scanning import Scan
from modelhub.refs import Digest
from modelhub.registry.tables import InstanceRow
from tests.hub.conftest import MODEL
from tests.runtimes.torch_folders import dense, with_modules
from tests.zoo.embed_oracle import Oracle
from tests.zoo.repos import build_chat, build_embed, chat_answers

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")

CHAT, EMBED = "zoo/pickled-chat", "zoo/pickled-embed"
CASE = chat_answers()[0]


class Canary:
    """Makes a folder when it is loaded, with the number of the process that did."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        code = f"import os; os.mkdir({str(self.path)!r}); open({str(self.path / 'pid')!r}, 'w').write(str(os.getpid()))"
        return exec, (code,)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def pickled(folder: Path, *, old: bool = False, **more: object) -> Digest:
    """Its safetensors as a pickle with `more` in it; gives the pickle's digest."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    file = folder / "pytorch_model.bin"
    torch.save({**tensors, **more}, file, _use_new_zipfile_serialization=not old)
    return Digest.of(file.read_bytes())


def ask(hub, model: str = CHAT, **how: object):
    return hub.chat(model, CASE.messages, temperature=0, **how)


@pytest.mark.parametrize("old", [False, True])
def test_plain_tensors_are_loaded_and_proven(hub, server, tmp_path, old):
    folder = build_chat(tmp_path / "chat")
    digest = pickled(folder, old=old)
    server.add(CHAT, folder)
    plan = hub.plan(CHAT)
    assert (plan.runtime, plan.choice.format, plan.fits) == ("transformers", "pytorch", True)
    (warning,) = (each for each in plan.warnings if each.code == "format.pickle")
    assert "nothing but plain tensors" in warning.text
    assert not any(each.code == "pickle.scan" for each in plan.warnings)  # nothing of it is here
    reply = ask(hub)
    assert reply.text == CASE.answer
    assert {(file.path, file.sha256) for file in reply.provenance.files} >= {
        ("pytorch_model.bin", digest)
    }
    for told in (hub.plan(CHAT), hub.inspect(CHAT)):
        (scan,) = (each.text for each in told.warnings if each.code == "pickle.scan")
        assert scan.startswith("pytorch_model.bin: picklescan calls it clean")


def test_so_are_an_embedders(hub, server, tmp_path):
    folder = build_embed(tmp_path / "embed")
    pickled(folder)
    server.add(EMBED, folder)
    reply = hub.embed(EMBED, "rain")
    assert "pytorch_model.bin" in {file.path for file in reply.provenance.files}
    assert np.abs(reply.vectors - Oracle().vectors(["rain"])).max() < 1e-4


def test_safetensors_are_taken_wherever_there_are_both(hub, server, tmp_path, canary):
    folder = build_chat(tmp_path / "chat")
    torch.save({"extra": Canary(canary)}, folder / "pytorch_model.bin")
    server.add(CHAT, folder)
    assert {v.format for model in hub.inspect(CHAT).models for v in model.variants} == {"safetensors"}
    assert "pytorch_model.bin" not in {file.path for file in hub.pull(CHAT).files}
    assert ask(hub).text == CASE.answer
    assert server.bytes_sent("pytorch_model.bin") == 0
    assert not canary.exists()


def test_also_of_the_layers_behind_an_embedder(hub, server, tmp_path, canary):
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense")
    for part in (folder, folder / "2_Dense"):
        torch.save({"extra": Canary(canary)}, part / "pytorch_model.bin")
    server.add(EMBED, folder)
    plan = hub.plan(EMBED)
    assert plan.choice.format == "safetensors"
    assert not any(file.path.endswith(".bin") for file in plan.files)
    assert hub.embed(EMBED, "rain").vectors.shape == (1, 16)
    assert not canary.exists()


@pytest.mark.parametrize("host", ["thread", "process"])
def test_what_would_run_code_is_refused(make_hub, server, tmp_path, canary, host):
    folder = build_chat(tmp_path / "chat")
    digest = pickled(folder, extra=Canary(canary))
    server.add(CHAT, folder)
    hub = make_hub(host=host)
    hub.sync(CHAT)
    hub.pull(CHAT)
    with pytest.raises(PickleRefused, match=f"pytorch_model.bin \\(sha256:{digest}\\)") as caught:
        ask(hub)
    assert f'trust="sha256:{digest}"' in caught.value.hint
    (scan,) = (each.text for each in hub.plan(CHAT).warnings if each.code == "pickle.scan")
    assert "dangerous" in scan
    assert "exec" in scan
    assert not canary.exists()


@pytest.mark.parametrize("label", ["clean", "dangerous", "suspicious", "unreadable", "unscanned"])
def test_no_label_changes_what_is_allowed(hub, server, tmp_path, canary, monkeypatch, label):
    monkeypatch.setattr("modelhub.hub.pickles.scan_pickle", lambda path: Scan(label, ("os.system",)))
    good, bad = build_chat(tmp_path / "good"), build_chat(tmp_path / "bad")
    pickled(good)
    digest = pickled(bad, extra=Canary(canary))
    server.add(CHAT, good)
    server.add("zoo/bad", bad)
    assert ask(hub).text == CASE.answer
    with pytest.raises(PickleRefused):
        ask(hub, "zoo/bad")
    assert not canary.exists()
    assert ask(hub, "zoo/bad", trust=digest).text == CASE.answer
    assert canary.exists()


def test_what_is_trusted_runs_in_a_process_of_its_own(hub, server, tmp_path, canary):
    folder = build_chat(tmp_path / "chat")
    digest = pickled(folder, extra=Canary(canary))
    server.add(CHAT, folder)
    plan = hub.plan(CHAT, trust=f"sha256:{digest}")
    assert "pytorch_model.bin is trusted: it may run code, in a process of its own" in plan.why
    assert ask(hub, trust=[f"sha256:{digest}"]).text == CASE.answer
    pid = int((canary / "pid").read_text())
    with hub._registry.read() as tx:
        assert tx.session.scalars(select(InstanceRow.pid)).all() == [pid]
    assert pid != os.getpid()
    with pytest.raises(PickleRefused):  # what others trust is not asked for those who do not
        ask(hub)


def test_trust_is_for_one_content(hub, server, tmp_path, canary):
    folder = build_chat(tmp_path / "chat")
    digest = pickled(folder, extra=Canary(canary))
    server.add(CHAT, folder)
    for trust in ("0" * 64, [digest, "0" * 64]):
        with pytest.raises(InvalidInput, match="is no pickle of zoo/pickled-chat") as caught:
            ask(hub, trust=trust)
        assert digest in caught.value.hint
    with pytest.raises(InvalidInput, match="no pickle"):
        ask(hub, f"{MODEL}:q8_0", trust=digest)
    changed = build_chat(tmp_path / "changed")
    pickled(changed, extra=Canary(canary), more=1)
    server.push(CHAT, changed)
    hub.sync(CHAT)
    with pytest.raises(InvalidInput, match="no pickle"):
        ask(hub, trust=digest)
    assert not canary.exists()


@pytest.mark.parametrize("trust", ["all", "sha256:", True, 1, [None], "sha256:" + "A" * 64])
def test_what_is_no_digest_is_refused_first(hub, server, trust):
    with pytest.raises(InvalidInput, match="trust must be the SHA-256"):
        ask(hub, trust=trust)
    with pytest.raises(InvalidInput, match="trust must be the SHA-256"):
        hub.plan(CHAT, trust=trust)
    assert not server.requests


RUNTIMES = [None, "transformers", "llama_server", "llama_cpp", "echo"]
NAMES = [
    *(("pytorch_model.bin", protocol) for protocol in (0, 2, 5)),
    ("model.safetensors", 4),
    ("pytorch_model.pt", 1),
    ("tiny.gguf", 3),
]


@pytest.mark.parametrize(("name", "protocol"), NAMES)
def test_a_canary_under_any_name_never_sings(hub, server, tmp_path, canary, name, protocol):
    folder = build_chat(tmp_path / "chat")
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(pickle.dumps(Canary(canary), protocol))
    server.add(CHAT, folder)
    for what in (hub.sync, hub.inspect, hub.plan, hub.pull):
        _try(what, CHAT)
    for runtime in RUNTIMES:
        for verb in (hub.chat, hub.embed):
            refused = [_try(verb, model, "x", runtime=runtime) for model in (CHAT, str(folder))]
            assert all(refused) or runtime == "echo"  # which opens no weights
    assert not canary.exists()


def _try(what, *args, **how) -> ModelHubError | None:
    try:
        what(*args, **how)
    except ModelHubError as error:
        return error
    return None


def test_other_content_under_a_pickles_name_is_told(hub, server, tmp_path):
    folder = build_chat(tmp_path / "chat")
    pickled(folder)
    (folder / "pytorch_model.bin").write_bytes(b"GGUF" + bytes(100))
    server.add(CHAT, folder)
    with pytest.raises(FormatError, match="should be PyTorch's pickle, and is GGUF"):
        ask(hub)
