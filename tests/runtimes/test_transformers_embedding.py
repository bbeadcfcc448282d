"""Embeddings by transformers: the contract, the zoo's neighbours, and every step of sentence-transformers.

The zoo's embedder is compared with `tests/zoo/embed_oracle.py`; other models with themselves, one text at a
time, pooled by numpy.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.errors import ContextTooLong, InvalidInput, LoadFailed
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts, find_device
from modelhub.runtimes.testing import Case, RuntimeContract, Subject
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import EmbedResult, Request, Result, embed_request
from tests.runtimes.torch_folders import CHAT, change, embedder, pulled
from tests.zoo.embed_oracle import Oracle, margin
from tests.zoo.embed_repos import build_embed, write_json
from tests.zoo.embed_texts import embed_labels, embed_texts

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")

TEXTS = ("The river is long.", "Rivers", "x", "One tree, and one more tree than there was before.")
NEAR = 2e-5
"""How far apart numbers of unit vectors may be: batches of other sizes add up in another order."""

PARTS = "sentence_transformers.models."


def embed(subject: Subject, *texts: str, host: str = "thread", **params: Any) -> Any:
    """The vectors that a model gives."""
    instance = subject.load(host)
    try:
        result = instance.infer(embed_request(texts, **params), Call())
        assert isinstance(result, EmbedResult)
        return result.vectors
    finally:
        instance.close()


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


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


# Steps behind the model


def vectors_of(folder: Path, kind: str, texts: Sequence[str], pool: Any) -> Any:
    """Each text alone, without padding, its tokens' states pooled by `pool`."""
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = getattr(transformers, kind).from_pretrained(folder, dtype="float32").eval()
    rows = []
    for text in texts:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt")).last_hidden_state
        rows.append(pool(states[0].numpy()))
    return np.stack(rows)


def states_of(texts: Sequence[str]) -> list[Any]:
    oracle = Oracle()
    return [oracle.states(oracle.tokens(text)) for text in texts]


WAYS = {
    "max": lambda states: states.max(axis=0),
    "mean_sqrt_len_tokens": lambda states: states.sum(axis=0) / len(states) ** 0.5,
    "weightedmean": lambda states: np.average(states, axis=0, weights=np.arange(len(states)) + 1),
}


@pytest.mark.parametrize("pooling", WAYS)
def test_the_other_ways_of_pooling(tmp_path: Path, pooling: str) -> None:
    folder = build_embed(tmp_path / "embed", pooling=pooling, normalize=False)
    expected = np.stack([WAYS[pooling](states) for states in states_of(TEXTS)])
    assert np.abs(embed(embedder(folder), *TEXTS) - expected).max() < 10 * NEAR


def test_several_ways_stand_one_behind_the_other(tmp_path: Path) -> None:
    folder = build_embed(tmp_path / "embed", pooling="cls", normalize=False)
    change(folder / "1_Pooling" / "config.json", pooling_mode_mean_tokens=True)
    expected = [np.concatenate([states[0], states.mean(axis=0)]) for states in states_of(TEXTS)]
    assert np.abs(embed(embedder(folder), *TEXTS) - np.stack(expected)).max() < 10 * NEAR


def with_modules(folder: Path, *kinds: str) -> Path:
    """The zoo's embedder with these steps, each in a folder of its own."""
    build_embed(folder)
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds[1:], 1))]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": PARTS + kind}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_json(folder / "modules.json", modules)
    return folder


def dense(folder: Path, *, out: int = 16, bias: bool = True, **config: Any) -> tuple[Any, Any]:
    """A dense layer in the folder, and its numbers."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(7)
    weight = rng.normal(size=(out, 128)).astype(np.float32)
    added = rng.normal(size=out).astype(np.float32)
    tensors = {"linear.weight": weight} | ({"linear.bias": added} if bias else {})
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "config.json", {"in_features": 128, "out_features": out, "bias": bias, **config})
    return weight, added if bias else 0 * added


IDENTITY = "torch.nn.modules.linear.Identity"
ACTIVATIONS = {
    "torch.nn.modules.activation.Tanh": np.tanh,
    "torch.nn.modules.activation.ReLU": lambda values: np.maximum(values, 0),
    "torch.nn.modules.activation.Sigmoid": lambda values: 1 / (1 + np.exp(-values)),
    IDENTITY: lambda values: values,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_dense_layer(tmp_path: Path, activation: str, bias: bool) -> None:
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Dense", "Normalize")
    weight, added = dense(folder / "2_Dense", bias=bias, activation_function=activation)
    pooled = Oracle().vectors(TEXTS, normalize=False)
    expected = unit(ACTIVATIONS[activation](pooled @ weight.T + added))
    assert np.abs(embed(embedder(folder), *TEXTS) - expected).max() < 10 * NEAR


def test_length_1_before_a_dense_layer(tmp_path: Path) -> None:
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Normalize", "Dense")
    weight, added = dense(folder / "3_Dense", activation_function=IDENTITY)
    expected = Oracle().vectors(TEXTS) @ weight.T + added
    found = embed(embedder(folder), *TEXTS, normalize=False)
    assert np.abs(found - expected).max() < 10 * NEAR


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"activation_function": "os.system"}, r"2_Dense: the activation 'os\.system' is not known"),
        ({"module_input_name": "token_embeddings"}, "2_Dense works on single tokens"),
    ],
)
def test_a_dense_layer_that_is_not_known(tmp_path: Path, config: Any, message: str) -> None:
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense", **config)
    with pytest.raises(LoadFailed, match=message):
        embedder(folder).load()


def test_a_damaged_dense_layer(tmp_path: Path) -> None:
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Dense")
    dense(folder / "2_Dense", bias=False)
    subject = embedder(folder)
    change(folder / "2_Dense" / "config.json", bias=True)
    with pytest.raises(LoadFailed, match=r"no tensor linear\.bias"):
        subject.load()
    weights = folder / "2_Dense" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(LoadFailed, match=r"^model\.safetensors: "):
        subject.load()
    weights.unlink()
    with pytest.raises(LoadFailed, match=r"has no model\.safetensors"):
        subject.load()


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        (("Transformer", "Pooling", "LayerNorm"), "not known: LayerNorm"),
        (("Transformer", "Normalize"), "an order that is not known: Transformer, Normalize"),
        (("Transformer", "Pooling", "Pooling"), "an order that is not known"),
    ],
)
def test_steps_that_are_not_known_are_named(tmp_path: Path, kinds: Sequence[str], said: str) -> None:
    subject = embedder(with_modules(tmp_path / "embed", *kinds))
    bundle = subject.bundle
    assert said in subject.runtime.supports(bundle.model, bundle.variant, find_device("cpu")).reason
    with pytest.raises(LoadFailed, match=said):
        subject.load()


# Other models


@pytest.fixture
def saved(tmp_path: Path, zoo_embedder: Path) -> Iterator[Any]:
    """Saves a model with random weights beside the zoo's tokenizer, as a plain encoder."""

    def save(model: Any, *, listed: bool = False) -> Path:
        folder = tmp_path / "other"
        build_embed(folder)
        if not listed:
            for name in (
                "modules.json",
                "config_sentence_transformers.json",
                "sentence_bert_config.json",
            ):
                (folder / name).unlink()
            shutil.rmtree(folder / "1_Pooling")
        model.save_pretrained(folder)
        return folder

    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield save


def mean(states: Any) -> Any:
    return states.mean(axis=0)


SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 640}


def test_an_encoder_that_says_nothing_is_pooled_by_the_mean(saved: Any) -> None:
    import transformers

    config = transformers.BertConfig(**SMALL, intermediate_size=64, max_position_embeddings=48)
    folder = saved(transformers.BertModel(config))
    found = embed(embedder(folder), *TEXTS)
    assert np.abs(found - vectors_of(folder, "AutoModel", TEXTS, mean)).max() < NEAR


def test_a_pooler_that_is_not_there_is_not_missed(saved: Any) -> None:
    import transformers

    config = transformers.BertConfig(**SMALL, intermediate_size=64, max_position_embeddings=48)
    folder = saved(transformers.BertForMaskedLM(config), listed=True)
    before = torch.random.get_rng_state()
    found = embed(embedder(folder), *TEXTS, normalize=False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.abs(found - vectors_of(folder, "AutoModel", TEXTS, mean)).max() < NEAR


def test_roberta_counts_its_positions_from_behind_the_padding(saved: Any) -> None:
    import transformers

    config = transformers.RobertaConfig(**SMALL, intermediate_size=64, max_position_embeddings=42)
    folder = saved(transformers.RobertaModel(config))
    instance = embedder(folder).load()
    assert instance.capabilities.context_length == 40
    instance.close()
    long = "rain " * 38
    expected = vectors_of(folder, "AutoModel", [*TEXTS, long], mean)
    assert np.abs(embed(embedder(folder), *TEXTS, long) - expected).max() < NEAR


def test_only_the_encoder_of_t5(saved: Any) -> None:
    import transformers

    config = transformers.T5Config(
        d_model=32, num_layers=2, num_heads=2, d_ff=64, d_kv=16, vocab_size=640
    )
    folder = saved(transformers.T5EncoderModel(config), listed=True)
    expected = unit(vectors_of(folder, "T5EncoderModel", TEXTS, mean))
    assert np.abs(embed(embedder(folder), *TEXTS) - expected).max() < NEAR


def test_a_decoder_that_embeds_by_its_last_token_and_has_no_padding(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(CHAT, tmp_path / "chat"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config.pop("pad_token", None)
    write_json(folder / "tokenizer_config.json", config)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": PARTS + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": PARTS + "Pooling"},
    ]
    write_json(folder / "modules.json", modules)
    (folder / "1_Pooling").mkdir()
    write_json(folder / "1_Pooling" / "config.json", {"pooling_mode": "lasttoken"})
    expected = vectors_of(folder, "AutoModel", TEXTS, lambda states: states[-1])
    found = embed(embedder(folder), *TEXTS)
    assert np.abs(unit(found) - unit(expected)).max() < NEAR
