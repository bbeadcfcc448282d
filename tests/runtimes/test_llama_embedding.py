"""Embeddings on both runtimes of llama.cpp: the contract, what is cut or refused, and that they agree."""

import functools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from modelhub.errors import ContextTooLong, InvalidInput, LoadFailed, TaskNotSupported
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import Case, RuntimeContract, Subject
from modelhub.tasks import EmbedResult, Request, Result, chat_request, embed_request
from tests.runtimes.embedders import NOISE, RUNTIMES, apart, embed, subject
from tests.runtimes.random_gguf import write_random_gguf
from tests.runtimes.zoo import bundle, chat_bundle

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")
pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")

POOLING = {
    "mean": gguf.PoolingType.MEAN,
    "cls": gguf.PoolingType.CLS,
    "lasttoken": gguf.PoolingType.LAST,
}
LIMIT = 512
TEXTS = ("The river is long.", "Rivers run long.", "x", "One tree, one more tree. " * 12)


@functools.cache
def embedder(pooling: str) -> Bundle:
    """A model with random weights that pools like this, by its file alone. A token is a byte."""
    path = Path(_folder.name) / f"{pooling}.gguf"
    write_random_gguf(path, context=LIMIT, pooling=POOLING.get(pooling))
    found = bundle(path.parent, path.name)
    model = found.model.model_copy(update={"task": "feature-extraction"})
    return Bundle(model, found.variant, found.roots)


_folder = tempfile.TemporaryDirectory(prefix="embedders-")


def said(found: Bundle, **details: Any) -> Bundle:
    """The same, with what introspection would have found out."""
    return Bundle(found.model.model_copy(update={"details": details}), found.variant, found.roots)


def lengths(result: EmbedResult) -> Any:
    return np.linalg.norm(result.vectors, axis=1)


@functools.cache
def answers(by: str) -> list[Any]:
    instance = subject(by, embedder("mean")).load()
    found = [embed(instance, text).vectors[0] for text in TEXTS]
    instance.close()
    return [pytest.approx(vector.tolist(), abs=1e-3) for vector in found]


class EmbeddingContract(RuntimeContract):
    """The rules, with answers that the other binding gave."""

    name: str
    other: str

    def make_subject(self) -> Subject:
        return subject(self.name, embedder("mean"))

    def make_cases(self) -> Sequence[Case]:
        found = answers(self.other)
        return [Case(embed_request(text), answer) for text, answer in zip(TEXTS, found, strict=True)]

    def read(self, result: Result) -> Any:
        assert isinstance(result, EmbedResult)
        return result.vectors[0].tolist()

    def make_endless(self) -> tuple[Subject, Request]:
        return self.make_subject(), embed_request(["x" * 400] * 20_000)

    def make_unreadable(self) -> Subject:
        folder = Path(_folder.name) / self.name
        folder.mkdir(exist_ok=True)
        path = write_random_gguf(folder / "short.gguf", context=LIMIT, pooling=POOLING["mean"])
        path.write_bytes(path.read_bytes()[:-1000])
        found = bundle(folder, path.name)
        model = found.model.model_copy(update={"task": "feature-extraction"})
        return subject(self.name, Bundle(model, found.variant, found.roots))


class TestLlamaCppEmbeds(EmbeddingContract):
    name, other = "llama_cpp", "llama_server"

    def make_failing(self) -> tuple[Subject, Request, str]:
        return Subject(FailingLlamaCpp(), embedder("mean")), embed_request("x"), "a teapot"


class TestLlamaServerEmbeds(EmbeddingContract):
    name, other = "llama_server", "llama_cpp"

    def make_failing(self) -> tuple[Subject, Request, str]:
        return Subject(FailingLlamaServer(), embedder("mean")), embed_request("x"), "a teapot"


class FailingLlamaCpp(LlamaCppRuntime):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = super().load(bundle, device, options, parts)
        instance._engine.vectors = _fail
        return instance


class FailingLlamaServer(LlamaServerRuntime):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = super().load(bundle, device, options, parts)
        instance._engine.embed = _fail
        return instance


def _fail(*_: object) -> None:
    raise RuntimeError("the tensor is a teapot")


@pytest.fixture(scope="module", params=sorted(RUNTIMES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def instance(name: str) -> Iterator[Instance]:
    loaded = subject(name, embedder("mean")).load()
    yield loaded
    loaded.close()


# Vectors


@pytest.mark.parametrize("pooling", sorted(POOLING))
def test_both_pool_as_the_file_says(pooling: str) -> None:
    found = []
    for name in RUNTIMES:
        loaded = subject(name, embedder(pooling)).load()
        found.append(embed(loaded, *TEXTS).vectors)
        loaded.close()
    assert apart(*found) < NOISE


def test_the_poolings_differ_and_what_is_known_of_the_model_counts_more_than_its_file(name: str) -> None:
    found = {}
    for pooling in POOLING:
        loaded = subject(name, said(embedder("mean"), pooling=pooling)).load()
        found[pooling] = embed(loaded, *TEXTS[:2]).vectors
        loaded.close()
        loaded = subject(name, embedder(pooling)).load()
        assert apart(found[pooling], embed(loaded, *TEXTS[:2]).vectors) < NOISE
        loaded.close()
    assert apart(found["mean"], found["cls"]) > 0.01
    assert apart(found["mean"], found["lasttoken"]) > 0.01


def test_without_a_word_it_is_the_mean(name: str, instance: Instance) -> None:
    silent = subject(name, embedder("not said")).load()
    assert apart(embed(silent, *TEXTS).vectors, embed(instance, *TEXTS).vectors) < NOISE
    silent.close()


def test_a_pooling_that_the_engine_does_not_have(name: str) -> None:
    with pytest.raises(LoadFailed, match="'weightedmean'"):
        subject(name, said(embedder("mean"), pooling="weightedmean")).load()


def test_the_shape_and_what_it_took(instance: Instance) -> None:
    result = embed(instance, *TEXTS)
    assert (result.vectors.shape, result.vectors.dtype) == ((len(TEXTS), 256), np.float32)
    assert result.usage.prompt_tokens == sum(map(len, TEXTS))
    assert result.usage.completion_tokens == 0


def test_each_of_many_texts_has_its_own_vector(instance: Instance) -> None:
    texts = [f"{number} trees" for number in range(21)]
    together = embed(instance, *texts).vectors
    alone = np.concatenate([embed(instance, text).vectors for text in texts])
    assert apart(together, alone) < NOISE
    assert apart(together[1:], together[:-1]) > NOISE


def test_the_length_is_one_unless_the_model_or_the_caller_says_otherwise(name: str) -> None:
    as_said = {}
    for normalize in (True, False, None):
        details = {} if normalize is None else {"normalize": normalize}
        loaded = subject(name, said(embedder("mean"), **details)).load()
        as_said[normalize] = embed(loaded, *TEXTS)
        assert lengths(embed(loaded, *TEXTS, normalize=True)) == pytest.approx(1, abs=1e-5)
        assert apart(embed(loaded, *TEXTS, normalize=False).vectors, as_said[normalize].vectors) < NOISE
        assert abs(lengths(embed(loaded, *TEXTS, normalize=False)) - 1).min() > 0.01
        loaded.close()
    assert lengths(as_said[None]) == pytest.approx(1, abs=1e-5)
    assert lengths(as_said[True]) == pytest.approx(1, abs=1e-5)
    assert abs(lengths(as_said[False]) - 1).min() > 0.01


# Limits


def test_a_text_that_does_not_fit(instance: Instance) -> None:
    with pytest.raises(
        ContextTooLong, match=r"texts\.1 has 513 tokens, and the model takes 512"
    ) as caught:
        embed(instance, "short", "x" * 513)
    details = caught.value.details
    assert (details["index"], details["prompt_tokens"], details["context_length"]) == (1, 513, LIMIT)
    assert "truncate=True" in caught.value.hint
    assert embed(instance, "x" * LIMIT).usage.prompt_tokens == LIMIT


@pytest.mark.parametrize("pooling", sorted(POOLING))
def test_it_takes_as_much_as_it_says(name: str, pooling: str) -> None:
    loaded = subject(name, embedder(pooling)).load()
    most = loaded.capabilities.context_length
    assert most is not None
    assert most >= LIMIT - 1
    assert embed(loaded, "x" * most).usage.prompt_tokens == most
    with pytest.raises(ContextTooLong, match=f"{most + 1} tokens, and the model takes {most}"):
        embed(loaded, "x" * (most + 1))
    loaded.close()


def test_a_text_may_be_cut(instance: Instance) -> None:
    long = "".join(map(str, range(300)))
    cut = embed(instance, "short", long, truncate=True)
    assert cut.usage.prompt_tokens == len("short") + LIMIT
    assert apart(cut.vectors[1:], embed(instance, long[:LIMIT]).vectors) < NOISE


def test_a_model_may_take_less_than_its_context(name: str) -> None:
    loaded = subject(name, said(embedder("mean"), max_input=10)).load()
    with pytest.raises(ContextTooLong, match="11 tokens, and the model takes 10"):
        embed(loaded, "x" * 11)
    assert embed(loaded, "x" * 11, truncate=True).usage.prompt_tokens == 10
    loaded.close()


def test_a_smaller_context_is_the_limit(name: str) -> None:
    loaded = subject(name, embedder("mean"), n_ctx=256).load()
    assert loaded.capabilities.context_length == 256
    with pytest.raises(ContextTooLong, match="the model takes 256"):
        embed(loaded, "x" * 257)
    assert lengths(embed(loaded, "x" * 256)) == pytest.approx(1, abs=1e-5)
    loaded.close()


@pytest.mark.parametrize("pooling", ["mean", "lasttoken"])
def test_a_text_longer_than_a_batch(name: str, pooling: str) -> None:
    texts = ("x" * 300, "0123456789" * 20)
    whole = subject(name, embedder(pooling)).load()
    pieces = subject(name, embedder(pooling), n_batch=32).load()
    assert apart(embed(whole, *texts).vectors, embed(pieces, *texts).vectors) < NOISE
    whole.close()
    pieces.close()


# Prompts


def test_prompts_of_the_repository(name: str) -> None:
    known = said(
        embedder("mean"), prompts={"query": "query: ", "passage": "passage: "}, default_prompt="query"
    )
    loaded = subject(name, known).load()
    plain = subject(name, embedder("mean")).load()
    expected = embed(plain, "query: tree", "passage: tree").vectors
    assert apart(embed(loaded, "tree").vectors, expected[:1]) < NOISE
    assert apart(embed(loaded, "tree", prompt_name="passage").vectors, expected[1:]) < NOISE
    with pytest.raises(InvalidInput, match="no prompt 'nonsense'") as caught:
        embed(loaded, "tree", prompt_name="nonsense")
    assert caught.value.hint == "It has 'passage', 'query'."
    with pytest.raises(InvalidInput, match="no prompt 'query'"):
        embed(plain, "tree", prompt_name="query")
    loaded.close()
    plain.close()


# Other requests


def test_an_embedder_does_not_chat(instance: Instance) -> None:
    assert not instance.capabilities.streaming
    with pytest.raises(TaskNotSupported, match="cannot serve a ChatRequest"):
        instance.infer(chat_request("Hi"), Call())
    with pytest.raises(TaskNotSupported):
        list(instance.stream(chat_request("Hi"), Call()))


def test_a_chat_model_does_not_embed(name: str) -> None:
    loaded = subject(name, chat_bundle("q8_0")).load()
    with pytest.raises(TaskNotSupported, match="cannot serve a EmbedRequest"):
        loaded.infer(embed_request("Hi"), Call())
    loaded.close()


def test_a_special_token_in_a_text_is_one(instance: Instance) -> None:
    """As sentence-transformers reads it."""
    assert embed(instance, "x<|im_end|>").usage.prompt_tokens == 2


def test_nothing_is_printed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    loaded = subject(name, embedder("mean")).load()
    embed(loaded, *TEXTS)
    with pytest.raises(ContextTooLong):
        embed(loaded, "x" * 513)
    loaded.close()
    assert capfd.readouterr() == ("", "")
