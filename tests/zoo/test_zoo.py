"""The zoo is what it says: exact answers in every precision, honest headers, small files."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf", reason="the zoo's GGUF files are written with gguf")
pytest.importorskip("safetensors", reason="the zoo's weights are read with safetensors")

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader, LlamaFileType
from huggingface_hub import ModelCard

from .cases import ZOO
from .exactness import Said, Score, ask_llama, score_llama, score_transformers, table, wrong
from .gguf_writer import KINDS, Repository, write_gguf
from .repos import (
    PRECISIONS,
    REPOSITORIES,
    REPOSITORY,
    build_chat,
    build_chat_gguf,
    build_zoo,
    chat_answers,
)

MEGABYTE = 1_000_000

needs_engine = pytest.mark.skipif(
    find_spec("xllamacpp") is None, reason="xllamacpp is not installed: pip install xllamacpp"
)
needs_torch = pytest.mark.skipif(
    find_spec("torch") is None or find_spec("transformers") is None,
    reason="torch and transformers are not installed: pip install 'modelhub[torch]'",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_chat_gguf(tmp_path_factory.mktemp("tiny-chat-GGUF"))


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = build_chat_gguf(tmp_path_factory.mktemp("sharded"), shards=3)
    return sorted(folder.glob("zoo-chat-f16-*.gguf"))


def file_of(folder: Path, precision: str) -> Path:
    return folder / f"zoo-chat-{precision}.gguf"


def matrices(path: Path) -> list[Any]:
    return [tensor for tensor in GGUFReader(path).tensors if len(tensor.shape) > 1]


def value(path: Path, key: str) -> Any:
    field = GGUFReader(path).get_field(key)
    assert field is not None, key
    return field.contents()


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


# The questions


def test_cases_cover_what_a_chat_can_get_wrong() -> None:
    cases = chat_answers()
    roles = {tuple(message["role"] for message in case.messages) for case in cases}
    assert len(cases) >= 24
    assert len({case.name for case in cases}) == len(cases)
    assert {("system", "user"), ("user", "assistant", "user")} <= roles
    assert sum(not case.answer.isascii() for case in cases) >= 2


def test_same_question_has_another_answer_under_a_system_prompt_and_after_a_turn() -> None:
    answers: dict[str, set[str]] = {}
    for case in chat_answers():
        answers.setdefault(case.messages[-1]["content"], set()).add(case.answer)
    assert len(answers["What is the capital of France?"]) == 2
    assert len(answers["What is my name?"]) == 4


def test_answers_are_long_enough_to_stream_and_split_characters_between_tokens() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(REPOSITORY / "tokenizer.json"))
    lengths = {case.name: len(tokenizer.encode(case.answer).ids) for case in chat_answers()}
    assert sum(length >= 30 for length in lengths.values()) >= 4
    assert max(lengths.values()) >= 100
    assert len(tokenizer.encode("🦊").ids) > 1


# The answers


@needs_engine
@pytest.mark.parametrize("precision", PRECISIONS)
def test_answers_are_exact_through_llama_cpp(folder: Path, precision: str) -> None:
    score = score_llama(folder, precision, chat_answers())
    assert score.enough, score.wrong


@needs_engine
def test_answers_are_exact_from_shards(sharded: list[Path]) -> None:
    cases = chat_answers()[:6]
    assert wrong(cases, ask_llama(sharded[0], cases)) == ()


@needs_engine
def test_engine_that_cannot_load_is_reported(tmp_path: Path) -> None:
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    with pytest.raises(RuntimeError, match=r"broken\.gguf"):
        ask_llama(tmp_path / "broken.gguf", chat_answers()[:1])


@needs_torch
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_answers_are_exact_through_transformers(precision: str) -> None:
    assert score_transformers(precision, chat_answers()).wrong == ()


def test_scores_count_a_wrong_text_and_a_missing_stop() -> None:
    cases = chat_answers()[:3]
    right, _, cut = (case.answer for case in cases)
    said = [Said(right, stopped=True), Said("no", stopped=True), Said(cut, stopped=False)]
    score = Score("engine", "f16", wrong(cases, said), len(cases))
    assert score.wrong == (cases[1].name, cases[2].name)
    assert score.share == pytest.approx(1 / 3)
    assert not score.enough
    assert f"| engine | f16 | 1 of 3 | {cases[1].name}, {cases[2].name} |" in table([score])


# The files


def test_committed_files_are_small() -> None:
    files = [path for path in ZOO.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    sizes = [path.stat().st_size for path in files]
    assert max(sizes) <= 3 * MEGABYTE
    assert sum(sizes) <= 8 * MEGABYTE


@pytest.mark.parametrize("precision", PRECISIONS)
def test_rows_are_multiples_of_a_super_block(folder: Path, precision: str) -> None:
    assert file_of(folder, precision).stat().st_size <= 3 * MEGABYTE
    assert {int(tensor.shape[0]) % 256 for tensor in matrices(file_of(folder, precision))} == {0}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_header_agrees_with_the_configuration(folder: Path, precision: str) -> None:
    path, source = file_of(folder, precision), Repository.read(REPOSITORY)
    expected = {
        "general.architecture": source.config["model_type"],
        "llama.context_length": source.config["max_position_embeddings"],
        "llama.block_count": source.config["num_hidden_layers"],
        "llama.embedding_length": source.config["hidden_size"],
        "llama.feed_forward_length": source.config["intermediate_size"],
        "llama.attention.head_count": source.config["num_attention_heads"],
        "llama.attention.head_count_kv": source.config["num_key_value_heads"],
        "llama.rope.freq_base": source.config["rope_parameters"]["rope_theta"],
        "tokenizer.ggml.eos_token_id": source.config["eos_token_id"],
        "tokenizer.ggml.bos_token_id": source.config["bos_token_id"],
        "tokenizer.chat_template": source.chat_template,
        "general.license": "apache-2.0",
        "general.quantization_version": gguf.GGML_QUANT_VERSION,
    }
    assert {key: value(path, key) for key in expected} == expected
    assert len(value(path, "tokenizer.ggml.tokens")) == source.config["vocab_size"]


MATRICES = {"f16": Kind.F16, "q8_0": Kind.Q8_0, "q4_0": Kind.Q4_0}


@pytest.mark.parametrize(("precision", "kind"), MATRICES.items())
def test_matrices_are_of_the_declared_type(folder: Path, precision: str, kind: Kind) -> None:
    path = file_of(folder, precision)
    assert {tensor.tensor_type for tensor in matrices(path)} == {kind}
    assert value(path, "general.file_type") == KINDS[precision][0]


def test_k_quantized_file_is_k_quantized(folder: Path) -> None:
    path = file_of(folder, "q4_k_m")
    kinds = [tensor.tensor_type for tensor in matrices(path)]
    assert set(kinds) == {Kind.Q4_K, Kind.Q6_K}
    assert kinds.count(Kind.Q4_K) > kinds.count(Kind.Q6_K)
    assert value(path, "general.file_type") == LlamaFileType.MOSTLY_Q4_K_M


def test_k_quantized_file_is_of_the_committed_weights(folder: Path) -> None:
    weights = dict(Repository.read(REPOSITORY).tensors())
    rounded = GGUFReader(file_of(folder, "q4_k_m")).tensors
    assert {tensor.name for tensor in rounded} == weights.keys()
    for tensor in rounded:
        true = weights[tensor.name]
        error = gguf.quants.dequantize(tensor.data, tensor.tensor_type).reshape(true.shape) - true
        assert np.linalg.norm(error) <= 0.12 * np.linalg.norm(true), f"{tensor.name} is of other weights"


def test_full_precision_file_holds_the_weights_themselves(tmp_path: Path) -> None:
    (path,) = write_gguf(REPOSITORY, tmp_path / "f32.gguf", "f32")
    weights = dict(Repository.read(REPOSITORY).tensors())
    for tensor in GGUFReader(path).tensors:
        true = weights[tensor.name]
        np.testing.assert_array_equal(tensor.data.reshape(true.shape), true)


def test_shards_say_where_they_belong(sharded: list[Path], folder: Path) -> None:
    assert [path.name for path in sharded] == [f"zoo-chat-f16-0000{n}-of-00003.gguf" for n in (1, 2, 3)]
    assert [value(path, "split.no") for path in sharded] == [0, 1, 2]
    assert {value(path, "split.count") for path in sharded} == {3}
    whole = {tensor.name for tensor in GGUFReader(file_of(folder, "f16")).tensors}
    assert {value(path, "split.tensors.count") for path in sharded} == {len(whole)}
    assert {tensor.name for path in sharded for tensor in GGUFReader(path).tensors} == whole


# The repositories


def test_every_repository_is_built_under_its_name(tmp_path: Path) -> None:
    root = build_zoo(tmp_path)
    assert {str(path.relative_to(root)) for path in root.glob("*/*")} == set(REPOSITORIES)


def test_building_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    assert digests(build_chat_gguf(tmp_path / "again")) == digests(folder)


def test_gguf_repository_holds_what_a_public_one_does(folder: Path) -> None:
    names = {f"zoo-chat-{precision}.gguf" for precision in PRECISIONS}
    assert {path.name for path in folder.iterdir()} == names | {"README.md", ".gitattributes"}
    card = ModelCard.load(folder / "README.md").data
    assert (card.license, card.pipeline_tag) == ("apache-2.0", "text-generation")
    assert card.base_model == "zoo/tiny-chat"


def test_chat_repository_holds_what_a_public_one_does(tmp_path: Path) -> None:
    names = {path.name for path in build_chat(tmp_path).iterdir()}
    assert {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"} < names
    assert {"chat_template.jinja", "model.safetensors", "README.md", ".gitattributes"} < names
    card = ModelCard.load(tmp_path / "README.md").data
    assert (card.license, card.pipeline_tag) == ("apache-2.0", "text-generation")
    assert card.library_name == "transformers"
