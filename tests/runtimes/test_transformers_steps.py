"""What stands behind a model that embeds, as sentence-transformers lists it; and models of other families.

The zoo's embedder is compared with `tests/zoo/embed_oracle.py`; other models with themselves, one text at a
time, pooled by numpy.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.errors import LoadFailed
from modelhub.runtimes import find_device
from tests.runtimes.torch_folders import (
    CHAT,
    PARTS,
    change,
    dense,
    embed,
    embedder,
    unit,
    with_modules,
)
from tests.zoo.embed_oracle import Oracle
from tests.zoo.embed_repos import write_json
from tests.zoo.repos import build_embed

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")

TEXTS = ("The river is long.", "Rivers", "x", "One tree, and one more tree than there was before.")
NEAR = 2e-5
"""How far apart numbers of unit vectors may be: batches of other sizes add up in another order."""


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
def saved(tmp_path: Path) -> Iterator[Any]:
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
