"""Texts in, vectors out, through every room: the same by each engine, as the repository says."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from modelhub.errors import ContextTooLong, InvalidInput, TaskNotSupported
from tests.zoo.embed_oracle import Oracle, margin
from tests.zoo.embed_texts import embed_labels, embed_texts
from tests.zoo.hub_server import HubServer
from tests.zoo.repos import build_embed, build_embed_gguf

from .conftest import MODEL as CHAT

GGUF, TORCH = "zoo/tiny-embed-GGUF", "zoo/tiny-embed"
TEXTS = embed_texts()
LEAST_COSINE = {"fp32": 0.9999, "fp16": 0.999, "q8_0": 0.995}
"""By variant. transformers computes the half-precision file in full, and is near 1."""

NEEDS = {"llama_server": "xllamacpp", "llama_cpp": "llama_cpp", "transformers": "torch"}
ENGINES = [
    pytest.param(
        engine, marks=pytest.mark.skipif(find_spec(needed) is None, reason=f"{needed} is not installed")
    )
    for engine, needed in NEEDS.items()
]
LIMIT = {"llama_server": 128, "llama_cpp": 128, "transformers": 64}
"""Tokens of a text: a GGUF file says how many positions there are, the other repository how many to use."""

needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="no PyTorch for this Python")


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("embedders")
    return {GGUF: build_embed_gguf(root / "gguf"), TORCH: build_embed(root / "torch")}


@pytest.fixture
def server(zoo_gguf, folders) -> Iterator[HubServer]:
    with HubServer({CHAT: zoo_gguf, **folders}) as running:
        yield running


@pytest.fixture(params=ENGINES)
def engine(request) -> str:
    return request.param


@pytest.fixture
def embed(make_hub, engine):
    """`hub.embed` on the engine, of the repository that it reads."""
    hub = make_hub()

    def embed(texts, **params):
        params = {"runtime": engine, **params}
        return hub.embed(TORCH if engine == "transformers" else GGUF, texts, **params)

    return embed


def least_cosine(found, expected) -> float:
    """Of each row with its partner."""
    lengths = np.linalg.norm(found, axis=1) * np.linalg.norm(expected, axis=1)
    return float((np.sum(found * expected, axis=1) / lengths).min())


# Vectors


@pytest.mark.parametrize("host", ["thread", "process"])
def test_vectors_are_the_oracles_and_neighbours_the_group(make_hub, engine, oracle, host):
    model = TORCH if engine == "transformers" else f"{GGUF}:f32"
    reply = make_hub(host=host).embed(model, TEXTS, runtime=engine)
    assert (reply.vectors.shape, reply.vectors.dtype) == ((len(TEXTS), 128), np.float32)
    assert least_cosine(reply.vectors, oracle.vectors(TEXTS)) >= LEAST_COSINE["fp32"]
    assert np.linalg.norm(reply.vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert margin(reply.vectors, embed_labels()) > 0.4
    assert reply.usage.prompt_tokens == sum(len(oracle.tokens(text)) for text in TEXTS)


@pytest.mark.parametrize("variant", LEAST_COSINE)
@pytest.mark.parametrize("engine", ENGINES[:2], indirect=True)
def test_every_precision_is_near_enough(embed, oracle, variant):
    reply = embed(TEXTS, variant=variant)
    assert reply.provenance.variant == variant
    assert least_cosine(reply.vectors, oracle.vectors(TEXTS)) >= LEAST_COSINE[variant]
    assert margin(reply.vectors, embed_labels()) > 0.4


def test_provenance_names_the_repository_and_its_bytes(embed, server, engine):
    model = TORCH if engine == "transformers" else GGUF
    proven = embed("rain").provenance
    assert (proven.repo, proven.commit, proven.runtime) == (model, server.commit(model), engine)
    assert all(len(file.sha256) == 64 for file in proven.files)


def test_a_text_or_any_number_of_them(embed):
    together = embed(iter(TEXTS)).vectors
    for at in (0, 30, 59):
        alone = embed(TEXTS[at]).vectors
        assert alone.shape == (1, 128)
        assert least_cosine(alone, together[at : at + 1]) > 0.9999


def test_the_second_time_nothing_moves(embed, server):
    first = embed("rain").vectors
    server.reset_counts()
    assert least_cosine(embed("rain").vectors, first) > 0.9999
    assert server.requests == []


# What may be asked for


def test_vectors_as_they_are(embed, oracle):
    found = np.linalg.norm(embed(TEXTS, normalize=False).vectors, axis=1)
    expected = np.linalg.norm(oracle.vectors(TEXTS, normalize=False), axis=1)
    assert found == pytest.approx(expected, rel=0.01)
    assert np.abs(found - 1).min() > 0.5


@needs_torch
@pytest.mark.parametrize("engine", ["transformers"], indirect=True)
def test_a_prompt_of_the_repository(embed, oracle):
    queries = [f"query: {text}" for text in TEXTS]
    found = embed(TEXTS, prompt_name="query").vectors
    assert least_cosine(found, oracle.vectors(queries)) > 0.9999
    assert least_cosine(found, oracle.vectors(TEXTS)) < 0.99
    assert least_cosine(embed(TEXTS, prompt_name="document").vectors, oracle.vectors(TEXTS)) > 0.9999


def test_a_prompt_that_is_not_there(embed, engine):
    with pytest.raises(InvalidInput, match="no prompt 'passage'") as caught:
        embed("rain", prompt_name="passage")
    has = "It has 'document', 'query'." if engine == "transformers" else "It has none: leave it out."
    assert caught.value.hint == has


def test_a_long_text_is_named_or_cut(embed, engine, oracle):
    limit = LIMIT[engine]
    texts = ["rain", "bread " * (limit - 1)]  # and two tokens at its ends
    with pytest.raises(ContextTooLong, match=rf"texts\.1 has {limit + 1} tokens") as caught:
        embed(texts)
    details = caught.value.details
    assert (details["index"], details["context_length"]) == (1, limit)
    assert "truncate=True" in caught.value.hint
    cut = embed(texts, truncate=True)
    assert cut.usage.prompt_tokens == len(oracle.tokens("rain")) + limit
    expected = oracle.vectors(["rain", "bread " * (limit - 2)])
    assert least_cosine(cut.vectors, expected) >= LEAST_COSINE["q8_0"]


# What the repository says


@needs_torch
@pytest.mark.parametrize("pooling", ["cls", "lasttoken"])
@pytest.mark.parametrize("normalize", [True, False])
def test_pooling_and_length_are_as_the_repository_says(
    hub, server, tmp_path, oracle, pooling, normalize
):
    server.add("zoo/other", build_embed(tmp_path / "other", pooling=pooling, normalize=normalize))
    found = hub.embed("zoo/other", TEXTS, runtime="transformers").vectors
    expected = oracle.vectors(TEXTS, pooling=pooling, normalize=normalize)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    unit = hub.embed("zoo/other", TEXTS, runtime="transformers", normalize=True).vectors
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("engine", ENGINES[:2])
@pytest.mark.parametrize("pooling", ["cls", "lasttoken"])
def test_a_gguf_file_says_its_pooling_too(hub, server, tmp_path, oracle, engine, pooling):
    folder = build_embed_gguf(tmp_path / "other", precisions=["f32"], pooling=pooling)
    server.add("zoo/other", folder)
    found = hub.embed("zoo/other", TEXTS, runtime=engine).vectors
    assert least_cosine(found, oracle.vectors(TEXTS, pooling=pooling)) >= LEAST_COSINE["fp32"]


# What is refused


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], "texts"),
        ("", "texts"),
        (["rain", ""], r"texts\.1"),
        (["rain", 3], r"texts\.1"),
        (b"rain", "not bytes"),
        (7, "not int"),
        ({"rain": 1}, "not dict"),
        (None, "not NoneType"),
    ],
)
def test_what_is_no_text_is_refused_before_anything_else(hub, server, texts, said):
    with pytest.raises(InvalidInput, match=said) as caught:
        hub.embed(TORCH, texts)
    assert caught.value.hint
    assert not server.requests


@pytest.mark.parametrize("params", [{"normalize": "often"}, {"dimensions": 3}, {"prompt_name": 3}])
def test_a_parameter_that_is_wrong_or_unknown_is_named(hub, server, params):
    (name,) = params
    with pytest.raises(InvalidInput, match=name):
        hub.embed(TORCH, "rain", **params)
    assert not server.requests


def test_a_chat_model_does_not_embed(hub):
    with pytest.raises(TaskNotSupported):
        hub.embed(CHAT, "rain")


def test_an_embedder_does_not_chat(hub):
    with pytest.raises(TaskNotSupported):
        hub.chat(GGUF, "rain")
