"""The zoo's embedder on both runtimes of llama.cpp: BERT, with a token at both ends of a text, whose vectors an
oracle knows, and whose neighbours are known.
"""

import functools
import tempfile
from pathlib import Path

import numpy as np
import pytest

from modelhub.runtimes import Bundle
from tests.runtimes.embedders import NOISE, RUNTIMES, apart, embed, subject
from tests.runtimes.zoo import bundle
from tests.zoo.embed_oracle import Oracle, margin
from tests.zoo.embed_repos import EMBED_PRECISIONS, build_embed_gguf
from tests.zoo.embed_texts import embed_labels, embed_texts

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")
pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")

_folder = tempfile.TemporaryDirectory(prefix="embedders-")
LEAST_COSINE = {"f32": 0.9999, "f16": 0.999, "q8_0": 0.995}


@functools.cache
def zoo_folder(pooling: str) -> Path:
    return build_embed_gguf(Path(_folder.name) / f"zoo-{pooling}", pooling=pooling)


def zoo(precision: str, pooling: str = "mean") -> Bundle:
    found = bundle(zoo_folder(pooling), f"zoo-embed-{precision}.gguf")
    model = found.model.model_copy(update={"task": "feature-extraction"})
    return Bundle(model, found.variant, found.roots)


@pytest.fixture(params=sorted(RUNTIMES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.mark.parametrize("pooling", ["cls", "lasttoken", "mean"])
@pytest.mark.parametrize("precision", EMBED_PRECISIONS)
def test_the_vectors_are_those_of_the_oracle(
    name: str, precision: str, pooling: str, oracle: Oracle
) -> None:
    loaded = subject(name, zoo(precision, pooling)).load()
    texts = [
        *embed_texts(),
        "Ünïcödé, ÇAFÉ; naïve",
        "日本語",
        "tabs\tand\nnew lines  twice",
        "emoji🦊inside",
    ]
    result = embed(loaded, *texts)
    raw = embed(loaded, *texts, normalize=False).vectors
    loaded.close()
    assert apart(result.vectors, oracle.vectors(texts, pooling=pooling)) < 1 - LEAST_COSINE[precision]
    assert result.usage.prompt_tokens == sum(len(oracle.tokens(text)) for text in texts)
    expected = np.linalg.norm(oracle.vectors(texts, pooling=pooling, normalize=False), axis=1)
    assert np.linalg.norm(raw, axis=1) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("precision", EMBED_PRECISIONS)
def test_the_nearest_neighbours_are_those_that_are_known(name: str, precision: str) -> None:
    loaded = subject(name, zoo(precision)).load()
    assert margin(embed(loaded, *embed_texts()).vectors, embed_labels()) > 0
    loaded.close()


def test_a_text_that_is_cut_still_ends_as_texts_end(name: str, oracle: Oracle) -> None:
    loaded = subject(name, zoo("f32")).load()
    limit = loaded.capabilities.context_length
    assert limit is not None
    text = "the dog bit the postman " * limit
    tokens = oracle.tokens(text)
    result = embed(loaded, text, truncate=True)
    loaded.close()
    assert result.usage.prompt_tokens == limit
    kept = oracle.states([*tokens[: limit - 1], tokens[-1]])
    assert apart(result.vectors, kept.mean(axis=0)[None]) < NOISE
