"""Cross-encoders, rerankers and sparse encoders: what is written of what they are for."""

import pytest

from .found import codes, only_model, said
from .onnx_repos import find as find_onnx
from .repos import BERT, CHAT, EMBEDDER, LLAMA, OURS, find

ONE = {"0": "LABEL_0"}
CROSS = BERT | {"architectures": ["BertForSequenceClassification"], "id2label": ONE}
FILES = {
    "config.json": CROSS,
    "tokenizer_config.json": {"tokenizer_class": "BertTokenizer"},
    "tokenizer.json": {},
    "model.safetensors": "F32",
}
WRITTEN = {
    "sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "4.1"}
}
THREE = {"id2label": {"0": "contradiction", "1": "entailment", "2": "neutral"}}
RANK, JUDGE, EMBED = "text-ranking", "text-classification", "feature-extraction"


def tasks(files, **facts):
    found = find(files, "Tiny-Rerank", **facts)
    return only_model(found).task, said(found, "model:tiny-rerank", "task")


@pytest.mark.parametrize(
    ("config", "settings", "task"),
    [
        (WRITTEN, None, RANK),
        ({"sbert_ce_default_activation_function": "torch.nn.Sigmoid"}, None, RANK),
        (WRITTEN | THREE, None, JUDGE),
        (WRITTEN | {"id2label": None}, None, JUDGE),  # two classes, which configurations leave out
        ({}, {"model_type": "CrossEncoder"}, RANK),
        (THREE, {"model_type": "CrossEncoder"}, JUDGE),
    ],
)
def test_the_library_writes_that_it_judges_pairs(config, settings, task):
    files = FILES | {"config.json": CROSS | config}
    if settings:
        files["config_sentence_transformers.json"] = settings
    assert tasks(files) == (task, {task: 80})


@pytest.mark.parametrize(
    "facts", [{"library_name": "sentence-transformers"}, {"tags": ("reranker",)}, {"readme": True}]
)
def test_one_class_and_a_card_that_ranks_is_a_reranker(facts):
    files = FILES | (
        {"README.md": b"model = CrossEncoder('zoo/tiny')"} if facts.pop("readme", 0) else {}
    )
    assert tasks(files, **facts) == (RANK, {RANK: 30, JUDGE: 80})


@pytest.mark.parametrize("tag", [None, JUDGE])
def test_one_class_and_a_name_that_says_reranker_is_one_whatever_its_tag(tag):
    found = find(FILES, "Tiny-Reranker-v2", pipeline_tag=tag)
    assert only_model(found).task == RANK
    assert said(found, "model:tiny-reranker-v2", "task") == {RANK: 50, JUDGE: 80}
    more = find(FILES | {"config.json": CROSS | THREE}, "Tiny-Reranker-v2", pipeline_tag=tag)
    assert only_model(more).task == JUDGE


def test_without_such_a_card_or_with_more_classes_it_is_a_classifier():
    assert tasks(FILES) == (JUDGE, {JUDGE: 80})
    files = FILES | {"config.json": CROSS | THREE}
    assert tasks(files, library_name="sentence-transformers") == (JUDGE, {JUDGE: 80})


@pytest.mark.parametrize(
    ("config", "activation", "labels"),
    [
        (WRITTEN, "identity", 1),
        ({"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, "sigmoid", 1),
        ({"sentence_transformers": {"version": "4.1"}}, "sigmoid", 1),
    ],
)
def test_what_a_score_goes_through(config, activation, labels):
    details = only_model(find(FILES | {"config.json": CROSS | config})).details
    assert (details["activation"], details["num_labels"]) == (activation, labels)


def test_a_decoder_ranks_where_its_card_says_so_template_or_not():
    config = LLAMA | {"architectures": ["Qwen3ForCausalLM"]}
    files = CHAT | {"config.json": config}
    assert tasks(files, pipeline_tag=RANK) == (RANK, {RANK: 30, "text-generation": 80})


def test_a_decoder_ranks_by_the_modules_that_the_library_wrote():
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": OURS + "Transformer"},
        {
            "idx": 1,
            "name": "1",
            "path": "1_LogitScore",
            "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore",
        },
    ]
    files = CHAT | {
        "modules.json": modules,
        "1_LogitScore/config.json": {"true_token_id": 7, "false_token_id": 3},
        "config_sentence_transformers.json": {"model_type": "CrossEncoder"},
    }
    assert tasks(files) == (RANK, {RANK: 80})
    assert "pooling" not in only_model(find(files)).details


@pytest.mark.parametrize(
    ("kind", "settings"), [("SpladePooling", {}), ("Pooling", {"model_type": "SparseEncoder"})]
)
def test_a_sparse_encoder_is_told_as_one(kind, settings):
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": OURS + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"sentence_transformers.sparse.{kind}"},
    ]
    files = EMBEDDER | {"modules.json": modules, "config_sentence_transformers.json": settings}
    model = only_model(find(files))
    assert (model.task, model.subtask) == (EMBED, "sparse-embedding")


def test_an_onnx_reranker_is_known_by_the_same():
    model = only_model(find_onnx({"config.json": CROSS | WRITTEN, "onnx/model.onnx": None}))
    assert (model.task, model.details["activation"]) == (RANK, "identity")


@pytest.mark.parametrize("value", [5, ["x"], {"activation_fn": ["x"]}, {"activation_fn": "x" * 10_000}])
def test_what_is_no_setting_is_passed_over(value):
    found = find(FILES | {"config.json": CROSS | {"sentence_transformers": value}})
    assert only_model(found).task in (RANK, JUDGE)
    assert "metadata.damaged" in codes(found)
