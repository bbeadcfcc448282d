"""tiny-embed is what it says: known neighbours, the same vectors by every road, honest files."""

import hashlib
import json
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the zoo's GGUF files are written with gguf")
pytest.importorskip("safetensors", reason="the zoo's weights are read with safetensors")

import gguf
import numpy as np
from huggingface_hub import ModelCard

from .bert_gguf import tensors, write_bert_gguf
from .embed_oracle import Oracle, margin
from .embed_repos import EMBED, EMBED_PRECISIONS, POOLING, build_embed, build_embed_gguf
from .embed_texts import embed_groups, embed_labels, embed_texts
from .likeness import LEAST, MISTAKES, TEXTS, ask_llama, ask_transformers, cosines, likeness_of

needs_torch = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None,
    reason="torch and transformers are not installed: pip install 'modelhub[torch]'",
)
engines = pytest.mark.parametrize(
    "engine",
    [
        pytest.param(
            name, marks=pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")
        )
        for name in ("xllamacpp", "llama_cpp")
    ],
)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_embed_gguf(tmp_path_factory.mktemp("tiny-embed-GGUF"))


def file_of(folder: Path, precision: str) -> Path:
    return folder / f"zoo-embed-{precision}.gguf"


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def value(path: Path, key: str) -> Any:
    field = gguf.GGUFReader(path).get_field(key)
    assert field is not None, key
    return field.contents()


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


# The sentences and their neighbours


def test_sentences_are_enough_and_differ() -> None:
    assert len(embed_groups()) >= 12
    assert min(map(len, embed_groups().values())) >= 5
    assert max(Counter(embed_texts()).values()) == 1


@pytest.mark.parametrize("prompt", ["", "query: "])
def test_nearest_neighbours_are_the_group(oracle: Oracle, prompt: str) -> None:
    vectors = oracle.vectors([prompt + text for text in embed_texts()])
    assert margin(vectors, embed_labels()) >= 0.4
    for at, label in enumerate(embed_labels()):
        nearest = np.argsort(-(vectors @ vectors[at]))[: len(embed_groups()[label])]
        assert {embed_labels()[near] for near in nearest} == {label}


def test_a_sentence_is_not_the_same_as_its_neighbour(oracle: Oracle) -> None:
    vectors = oracle.vectors(embed_texts())
    alike = vectors @ vectors.T - np.eye(len(vectors))
    assert alike.max() < 0.99


def test_two_groups_have_the_same_words_in_another_order(oracle: Oracle) -> None:
    one, other = (embed_groups()[name] for name in ("dog bites postman", "postman bites dog"))
    bags = [[sorted(oracle.tokens(text)) for text in texts] for texts in (one, other)]
    assert bags[0][:3] == [bags[1][0], bags[1][1], bags[1][2]]


def test_margin_is_negative_where_a_neighbour_is_wrong() -> None:
    rows = np.array([[1.0, 0.0], [0.8, 0.6], [0.96, 0.28], [0.0, 1.0]])
    assert margin(rows[[0, 2, 3]], ["a", "a", "b"]) == pytest.approx(0.96 - 0.28)
    assert margin(rows, ["a", "b", "a", "b"]) < 0


# What goes wrong shows


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_shows(mistake: str) -> None:
    assert likeness_of(MISTAKES[mistake]) < min(LEAST.values()) - 0.04


@pytest.mark.parametrize("pooling", ["cls", "lasttoken"])
def test_another_pooling_shows_in_every_vector(oracle: Oracle, pooling: str) -> None:
    other = oracle.vectors(embed_texts(), pooling=pooling)
    assert cosines(other, oracle.vectors(embed_texts())).max() < 0.8


def test_vectors_have_another_length_unless_normalized(oracle: Oracle) -> None:
    assert np.linalg.norm(oracle.vectors(TEXTS), axis=1) == pytest.approx(1)
    lengths = np.linalg.norm(oracle.vectors(TEXTS, normalize=False), axis=1)
    assert np.abs(lengths - 1).min() > 0.5


# The same by other roads


@needs_torch
def test_tokens_are_those_of_transformers(oracle: Oracle) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(EMBED)
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == oracle.tokens(text), text


@needs_torch
def test_vectors_are_those_of_transformers(tmp_path: Path, oracle: Oracle) -> None:
    means, firsts = ask_transformers(build_embed(tmp_path), TEXTS)
    np.testing.assert_allclose(means, oracle.vectors(TEXTS, normalize=False), atol=1e-4)
    np.testing.assert_allclose(firsts, oracle.vectors(TEXTS, pooling="cls", normalize=False), atol=1e-4)


@engines
@pytest.mark.parametrize("precision", EMBED_PRECISIONS)
def test_vectors_are_those_of_llama_cpp(
    folder: Path, oracle: Oracle, precision: str, engine: str
) -> None:
    vectors = ask_llama(engine, file_of(folder, precision), TEXTS)
    assert cosines(vectors, oracle.vectors(TEXTS)).min() >= LEAST[precision]
    np.testing.assert_allclose(vectors, oracle.vectors(TEXTS, normalize=False), atol=0.1)


@engines
@pytest.mark.parametrize("pooling", ["cls", "lasttoken"])
def test_llama_cpp_pools_as_the_file_says(
    tmp_path: Path, oracle: Oracle, pooling: str, engine: str
) -> None:
    model = write_bert_gguf(EMBED, tmp_path / "pooled.gguf", "f32", pooling=pooling)
    vectors = ask_llama(engine, model, TEXTS)
    assert cosines(vectors, oracle.vectors(TEXTS, pooling=pooling)).min() >= LEAST["f32"]


def test_engine_that_cannot_load_is_reported(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(RuntimeError, match=r"on broken\.gguf"):
        ask_llama("llama_cpp", tmp_path / "broken.gguf", TEXTS[:1])


# The files


def test_files_are_small(folder: Path) -> None:
    assert (EMBED / "model.safetensors").stat().st_size < 1_500_000
    assert max(path.stat().st_size for path in folder.iterdir()) < 2_000_000


def test_building_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert digests(build_embed_gguf(tmp_path / "again")) == digests(folder)
    assert digests(build_embed(tmp_path / "one")) == digests(build_embed(tmp_path / "two"))


def test_built_as_it_is_the_repository_is_the_committed_one(tmp_path: Path) -> None:
    built = digests(build_embed(tmp_path))
    assert built.pop(".gitattributes")
    assert built == digests(EMBED)


@pytest.mark.parametrize("pooling", POOLING)
def test_repository_says_how_it_pools(tmp_path: Path, pooling: str) -> None:
    settings = read(build_embed(tmp_path, pooling=pooling) / "1_Pooling" / "config.json")
    assert [flag for flag, on in settings.items() if on is True] == [POOLING[pooling], "include_prompt"]
    assert settings["word_embedding_dimension"] == read(EMBED / "config.json")["hidden_size"]


def test_unknown_pooling_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not median"):
        build_embed(tmp_path, pooling="median")


def test_repository_says_whether_it_normalizes(tmp_path: Path) -> None:
    def steps(folder: Path) -> list[str]:
        return [module["type"].rpartition(".")[2] for module in read(folder / "modules.json")]

    assert steps(build_embed(tmp_path / "a")) == ["Transformer", "Pooling", "Normalize"]
    assert steps(build_embed(tmp_path / "b", normalize=False)) == ["Transformer", "Pooling"]


def test_every_sentence_fits_behind_a_prompt_and_the_longest_barely(oracle: Oracle) -> None:
    limit = read(EMBED / "sentence_bert_config.json")["max_seq_length"]
    prompts = read(EMBED / "config_sentence_transformers.json")["prompts"]
    lengths = [len(oracle.tokens(prompts["query"] + text)) for text in embed_texts()]
    assert limit - 8 < max(lengths) <= limit < read(EMBED / "config.json")["max_position_embeddings"]


def test_vocabulary_is_the_tokenizers(oracle: Oracle) -> None:
    assert read(EMBED / "tokenizer.json")["model"]["vocab"] == oracle.vocabulary
    assert len(oracle.vocabulary) == oracle.config["vocab_size"]


def test_cards_say_what_a_public_one_does(tmp_path: Path, folder: Path) -> None:
    card = ModelCard.load(build_embed(tmp_path) / "README.md").data
    assert (card.license, card.pipeline_tag) == ("apache-2.0", "sentence-similarity")
    assert card.library_name == "sentence-transformers"
    card = ModelCard.load(folder / "README.md").data
    assert (card.license, card.pipeline_tag) == ("apache-2.0", "feature-extraction")
    assert card.base_model == "zoo/tiny-embed"


def test_header_agrees_with_the_configuration(folder: Path, oracle: Oracle) -> None:
    path, config = file_of(folder, "f16"), oracle.config
    expected = {
        "general.architecture": config["model_type"],
        "bert.context_length": config["max_position_embeddings"],
        "bert.block_count": config["num_hidden_layers"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": pytest.approx(config["layer_norm_eps"]),
        "bert.attention.causal": False,
        "bert.pooling_type": gguf.PoolingType.MEAN,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.token_type_count": config["type_vocab_size"],
        "tokenizer.ggml.bos_token_id": oracle.vocabulary["[CLS]"],
        "tokenizer.ggml.seperator_token_id": oracle.vocabulary["[SEP]"],
        "tokenizer.ggml.unknown_token_id": oracle.vocabulary["[UNK]"],
        "tokenizer.ggml.padding_token_id": oracle.vocabulary["[PAD]"],
        "tokenizer.ggml.mask_token_id": oracle.vocabulary["[MASK]"],
        "general.license": "apache-2.0",
    }
    assert {key: value(path, key) for key in expected} == expected


def test_pieces_are_marked_where_words_begin(folder: Path, oracle: Oracle) -> None:
    pieces = dict(
        zip(oracle.vocabulary, value(file_of(folder, "f16"), "tokenizer.ggml.tokens"), strict=True)
    )
    assert (pieces["[CLS]"], pieces["the"], pieces["##a"]) == ("[CLS]", "\u2581the", "a")
    assert len(set(pieces.values())) == len(pieces)


@pytest.mark.parametrize("precision", EMBED_PRECISIONS)
def test_tensors_are_the_committed_weights_in_the_declared_type(folder: Path, precision: str) -> None:
    weights = dict(tensors(EMBED, read(EMBED / "config.json")["num_hidden_layers"]))
    found = gguf.GGUFReader(file_of(folder, precision)).tensors
    assert {tensor.name for tensor in found} == weights.keys()
    kinds = Counter(tensor.tensor_type.name for tensor in found if len(tensor.shape) > 1)
    assert kinds[precision.upper()] == (15 if precision == "f32" else 13)
    for tensor in found:
        true = weights[tensor.name]
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(true.shape)
        np.testing.assert_allclose(data, true, atol=0.01 * np.abs(true).max() * (precision == "q8_0"))
