"""Embeddings by transformers: the contract, the zoo's neighbours, prompts, lengths and batches.

The oracle is `tests/zoo/embed_oracle.py`.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.errors import ContextTooLong, InvalidInput
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts
from modelhub.runtimes.testing import Case, RuntimeContract, Subject
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import EmbedResult, Request, Result, embed_request
from tests.runtimes.torch_folders import change, embed, embedder, pulled, unit
from tests.zoo.embed_oracle import Oracle, margin
from tests.zoo.embed_repos import write_json
from tests.zoo.embed_texts import embed_labels, embed_texts
from tests.zoo.repos import build_embed

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")

TEXTS = ("The river is long.", "Rivers", "x", "One tree, and one more tree than there was before.")
NEAR = 2e-5
"""How far apart numbers of unit vectors may be: batches of other sizes add up in another order."""


class SlowEmbedder(TransformersRuntime):
    """Takes its time for each group of texts."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        import time

        instance: Any = super().load(bundle, device, options, parts)
        forward = instance._model.forward

        def slowly(*args: Any, **kwargs: Any) -> Any:
            time.sleep(0.05)
            return forward(*args, **kwargs)

        instance._model.forward = slowly
        return instance


class FailingEmbedder(TransformersRuntime):
    """Its model fails when it is asked."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = super().load(bundle, device, options, parts)
        instance._model.forward = _fail
        return instance


def _fail(*_: object, **__: object) -> None:
    raise RuntimeError("the tensor is a teapot")


@pytest.fixture(scope="session")
def zoo_embedder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_embed(tmp_path_factory.mktemp("zoo") / "tiny-embed")


class TestEmbedder(RuntimeContract):
    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls, zoo_embedder: Path) -> Subject:
        return embedder(zoo_embedder)

    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls, zoo_embedder: Path) -> Subject:
        return Subject(SlowEmbedder(), pulled(zoo_embedder))

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> Request:
        return embed_request(["river " * 60] * 50_000)

    @pytest.fixture(scope="class")
    @classmethod
    def failing(cls, zoo_embedder: Path) -> tuple[Subject, Request, str]:
        return Subject(FailingEmbedder(), pulled(zoo_embedder)), embed_request("x"), "a teapot"

    @pytest.fixture(scope="class")
    @classmethod
    def unreadable(cls, zoo_embedder: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        folder = Path(shutil.copytree(zoo_embedder, tmp_path_factory.mktemp("cut") / "embed"))
        subject = embedder(folder)
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-9])
        return subject

    def make_cases(self) -> Sequence[Case]:
        vectors = Oracle().vectors(TEXTS)
        return [Case(embed_request(text), row) for text, row in zip(TEXTS, vectors, strict=True)]

    def read(self, result: Result) -> Any:
        """Numbers that are equal when they are near: how near is looked at below."""
        assert isinstance(result, EmbedResult)
        return _Near(result.vectors[0])


class _Near:
    """Equal to a vector whose numbers are less than a thousandth away."""

    def __init__(self, vector: Any) -> None:
        self.vector = vector

    def __eq__(self, other: object) -> bool:
        return bool(np.abs(self.vector - other).max() < 1e-3)

    __hash__ = None  # type: ignore[assignment]


# The zoo


def test_the_zoos_vectors_are_the_oracles(zoo_embedder: Path) -> None:
    texts = embed_texts()
    vectors = embed(embedder(zoo_embedder), *texts)
    assert vectors.dtype == np.float32
    assert np.abs(vectors - Oracle().vectors(texts)).max() < NEAR
    assert margin(vectors.astype(np.float64), embed_labels()) > 0


@pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])
@pytest.mark.parametrize("normalize", [True, False])
def test_each_pooling_of_the_oracles(tmp_path: Path, pooling: str, normalize: bool) -> None:
    folder = build_embed(tmp_path / "embed", pooling=pooling, normalize=normalize)
    expected = Oracle().vectors(TEXTS, pooling=pooling, normalize=normalize)
    assert np.abs(embed(embedder(folder), *TEXTS) - expected).max() < 10 * NEAR


def test_lengths_are_as_asked(zoo_embedder: Path, tmp_path: Path) -> None:
    subject = embedder(zoo_embedder)
    raw, one = (embed(subject, *TEXTS, normalize=wish) for wish in (False, True))
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 0.01
    assert np.abs(unit(raw) - one).max() < NEAR


def test_prompts_are_put_in_front(zoo_embedder: Path) -> None:
    subject = embedder(zoo_embedder)
    named = embed(subject, "rain", prompt_name="query")
    assert np.abs(named - embed(subject, "query: rain")).max() < NEAR
    assert np.abs(named - embed(subject, "rain")).max() > 0.01
    with pytest.raises(InvalidInput, match="'query'"):
        embed(subject, "rain", prompt_name="qeury")


def test_a_prompt_may_be_left_out_of_the_pooling(tmp_path: Path) -> None:
    folder = build_embed(tmp_path / "embed")
    change(folder / "1_Pooling" / "config.json", include_prompt=False)
    oracle = Oracle()
    states = oracle.states(oracle.tokens("query: rain"))[len(oracle.tokens("query: ")) - 1 :]
    found = embed(embedder(folder), "rain", prompt_name="query")
    assert np.abs(found - unit(states.mean(axis=0)[None])).max() < NEAR


def test_a_default_prompt(tmp_path: Path) -> None:
    folder = build_embed(tmp_path / "embed")
    change(folder / "config_sentence_transformers.json", default_prompt_name="query")
    found = embed(embedder(folder), "rain")
    assert np.abs(found - Oracle().vectors(["query: rain"])).max() < NEAR


def test_lower_case_where_the_repository_says_so(tmp_path: Path) -> None:
    folder = build_embed(tmp_path / "embed")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["normalizer"]["lowercase"] = False
    write_json(folder / "tokenizer.json", tokenizer)
    change(folder / "tokenizer_config.json", do_lower_case=False)
    change(folder / "sentence_bert_config.json", do_lower_case=True)
    found = embed(embedder(folder), "RAIN and Bread")
    assert np.abs(found - Oracle().vectors(["rain and bread"])).max() < NEAR


# Lengths and batches


def test_a_long_text_is_refused_by_its_place_or_cut(zoo_embedder: Path) -> None:
    instance = embedder(zoo_embedder).load()
    assert instance.capabilities.context_length == 64
    texts = ["rain", "rain " * 63]
    with pytest.raises(
        ContextTooLong, match=r"texts\.1 has 65 tokens, and the model takes 64"
    ) as caught:
        instance.infer(embed_request(texts), Call())
    assert caught.value.details["index"] == 1
    cut: Any = instance.infer(embed_request(texts, truncate=True), Call())
    assert cut.usage.prompt_tokens == 3 + 64
    assert np.abs(cut.vectors - Oracle().vectors(["rain", "rain " * 62])).max() < NEAR
    instance.close()


def test_fewer_tokens_may_be_asked_for(zoo_embedder: Path) -> None:
    with pytest.raises(ContextTooLong, match="the model takes 16"):
        embed(embedder(zoo_embedder, n_ctx=16), "rain " * 15)
    with pytest.raises(InvalidInput, match="made for 64 tokens, not 65"):
        embedder(zoo_embedder, n_ctx=65).load()


def test_many_texts_come_back_in_their_order(zoo_embedder: Path) -> None:
    texts = [f"{'bread ' * (number * 7 % 40)}rain {number}" for number in range(700)]
    vectors = embed(embedder(zoo_embedder), *texts)
    some = [0, 1, 255, 256, 333, 699]
    assert np.abs(vectors[some] - Oracle().vectors([texts[at] for at in some])).max() < NEAR


def test_groups_are_of_like_length_and_bounded() -> None:
    from modelhub.runtimes.transformers.embed import groups

    lengths = [3, 900, 1, 400, 400, 2]
    assert list(groups(lengths, 1000)) == [[1], [3, 4], [0, 5, 2]]
    assert sorted(at for group in groups(lengths) for at in group) == list(range(6))


def test_it_computes_in_what_was_asked(zoo_embedder: Path) -> None:
    found = embed(embedder(zoo_embedder, dtype="bfloat16"), *TEXTS)
    assert found.dtype == np.float32
    assert 1e-5 < np.abs(found - Oracle().vectors(TEXTS)).max() < 0.05
