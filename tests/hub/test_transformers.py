"""PyTorch models through a Hub: chosen, fetched, answered and proven, like any other."""

from pathlib import Path

import numpy as np
import pytest

from modelhub.errors import InvalidInput, RuntimeNotFound
from tests.runtimes.torch_folders import change, dense, with_modules
from tests.zoo.embed_oracle import Oracle, margin
from tests.zoo.embed_texts import embed_labels, embed_texts
from tests.zoo.repos import build_chat, build_embed, chat_answers

pytest.importorskip("torch", reason="no PyTorch for this Python")

CHAT, EMBED = "zoo/tiny-chat", "zoo/tiny-embed"
WEIGHTS = (".safetensors", ".bin")


@pytest.fixture
def repository(tmp_path) -> Path:
    return build_chat(tmp_path / "chat")


@pytest.fixture
def chat(server, repository) -> Path:
    server.add(CHAT, repository)
    return repository


@pytest.mark.parametrize("host", ["thread", "process"])
def test_the_zoo_answers_to_the_letter(make_hub, chat, host):
    hub = make_hub(host=host)
    for case in chat_answers():
        reply = hub.chat(CHAT, case.messages, temperature=0)
        assert reply.text == case.answer
    assert reply.provenance.runtime == "transformers"
    assert "model.safetensors" in {file.path for file in reply.provenance.files}
    pieces = list(hub.chat(CHAT, case.messages, temperature=0, stream=True))
    assert len(pieces) > 2
    assert "".join(piece.text for piece in pieces) == case.answer


def test_a_precision_of_its_own_name(hub, server, repository):
    (repository / "model.safetensors").rename(repository / "model.half.safetensors")
    server.add(CHAT, repository)
    case = chat_answers()[0]
    assert hub.chat(CHAT, case.messages, temperature=0).text == case.answer


def test_a_plan_counts_what_is_asked_for(hub, chat):
    plan, half, short = (
        hub.plan(CHAT, options=options) for options in ({}, {"dtype": "bfloat16"}, {"n_ctx": 64})
    )
    assert (plan.runtime, plan.fits) == ("transformers", True)
    assert plan.memory > half.memory
    assert plan.memory > short.memory


def test_an_option_is_refused_before_anything_is_fetched(hub, server, chat):
    with pytest.raises(InvalidInput, match="dtype"):
        hub.chat(CHAT, "Hi", options={"dtype": "int3"})
    assert server.bytes_sent("tokenizer.json") == 0


def test_the_zoos_neighbours(hub, server, tmp_path):
    server.add(EMBED, build_embed(tmp_path / "embed"))
    reply = hub.embed(EMBED, embed_texts())
    assert reply.provenance.runtime == "transformers"
    assert margin(reply.vectors.astype(np.float64), embed_labels()) > 0
    query = hub.embed(EMBED, "rain", prompt_name="query").vectors
    assert np.abs(query - Oracle().vectors(["query: rain"])).max() < 1e-4


def test_the_layers_behind_a_model_are_fetched_with_it(hub, server, tmp_path):
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Dense")
    weight, added = dense(folder / "2_Dense")
    server.add(EMBED, folder)
    expected = np.tanh(Oracle().vectors(["rain"], normalize=False) @ weight.T + added)
    assert np.abs(hub.embed(EMBED, "rain").vectors - expected).max() < 1e-3


def test_packed_weights_are_refused_before_they_are_fetched(hub, server, repository):
    change(repository / "config.json", quantization_config={"quant_method": "gptq", "bits": 4})
    server.add(CHAT, repository)
    assert any("these are packed (gptq)" in why for why in hub.plan(CHAT).why)
    with pytest.raises(RuntimeNotFound):
        hub.chat(CHAT, "Hi")
    assert server.bytes_sent(WEIGHTS) <= 16 << 10  # the header alone


def test_so_are_steps_that_nobody_knows(hub, server, tmp_path):
    server.add(EMBED, with_modules(tmp_path / "embed", "Transformer", "Pooling", "CNN"))
    assert any("not known: CNN" in why for why in hub.plan(EMBED).why)
    with pytest.raises(RuntimeNotFound):
        hub.embed(EMBED, "rain")
