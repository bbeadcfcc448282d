import pytest

from modelhub.registry.introspect import headers_wanted

from .build import listing
from .found import codes, only_model
from .repos import BERT, EMBEDDER, OURS, find


def modules(*kinds: str) -> list[dict[str, object]]:
    return [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": OURS + kind}
        for n, kind in enumerate(kinds)
    ]


def details(files, **facts):
    return only_model(find(files, "Tiny-Embed", **facts)).details


def test_a_sentence_embedder_is_one_model_with_all_its_modules_files():
    found = find(EMBEDDER, "Tiny-Embed")
    model = only_model(found)
    assert codes(found) == []
    assert (model.name, model.task, model.category) == ("tiny-embed", "feature-extraction", "llm")
    assert (model.architecture, model.context_length, model.parameters) == ("bert", 512, 1000)
    (variant,) = model.variants
    part, tokenizer = variant.components
    assert (variant.name, part.name, part.folder) == ("fp32", "model", "")
    assert [file.path for file in part.files] == [
        "model.safetensors",
        "config.json",
        "modules.json",
        "config_sentence_transformers.json",
        "sentence_bert_config.json",
        "1_Pooling/config.json",
    ]
    assert [file.path for file in tokenizer.files] == [
        "tokenizer_config.json",
        "tokenizer.json",
        "vocab.txt",
    ]


def test_its_details_say_how_a_text_becomes_a_vector():
    found = find(EMBEDDER, "Tiny-Embed")
    said = only_model(found).details
    assert said["pooling"] == "mean"
    assert said["normalize"] is True
    assert said["prompts"] == {"query": "query: ", "document": ""}
    assert "default_prompt" not in said
    assert said["modules"] == [
        {"type": "Transformer", "path": ""},
        {"type": "Pooling", "path": "1_Pooling"},
        {"type": "Normalize", "path": "2_Normalize"},
    ]
    assert (said["dimensions"], said["max_input"]) == (32, 128)
    assert (said["layers"], said["heads"], said["embedding_length"]) == (1, 2, 32)
    (row,) = [row for row in found.evidence if row.key == "pooling"]
    assert (row.subject, row.value, row.trust) == ("model:tiny-embed", "mean", 80)


@pytest.mark.parametrize(
    ("config", "pooling", "dimensions"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls", 32),
        ({"pooling_mode_max_tokens": True}, "max", 32),
        ({"pooling_mode_mean_sqrt_len_tokens": True}, "mean_sqrt_len_tokens", 32),
        ({"pooling_mode_weightedmean_tokens": True}, "weightedmean", 32),
        ({"pooling_mode_lasttoken": True}, "lasttoken", 32),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True}, "cls+mean", 64),
        ({"pooling_mode": "lasttoken"}, "lasttoken", 32),
        ({"pooling_mode": ["mean", "cls"], "pooling_mode_max_tokens": True}, "mean+cls", 64),
        ({"pooling_mode": "mean", "embedding_dimension": 48}, "mean", 48),
    ],
)
def test_how_it_pools(config, pooling, dimensions):
    found = find(EMBEDDER | {"1_Pooling/config.json": config})
    said = only_model(found).details
    assert (said["pooling"], said["dimensions"]) == (pooling, dimensions)
    assert codes(found) == []


@pytest.mark.parametrize(
    "config", [{}, {"pooling_mode_mean_tokens": False}, {"pooling_mode": "attention"}, None]
)
def test_a_pooling_that_is_not_said_is_assumed(config):
    found = find(EMBEDDER | {"1_Pooling/config.json": config})
    assert only_model(found).details["pooling"] == "mean"
    assert "pooling.assumed" in codes(found)


def test_some_read_lower_case_alone():
    lower = {"sentence_bert_config.json": {"max_seq_length": 128, "do_lower_case": True}}
    assert details(EMBEDDER | lower)["lowercase"] is True
    assert "lowercase" not in details(EMBEDDER)


def test_the_prompt_may_be_left_out_of_the_pooling():
    pooling = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    assert details(EMBEDDER | {"1_Pooling/config.json": pooling})["pool_prompt"] is False
    assert "pool_prompt" not in details(EMBEDDER)


def test_without_a_list_of_modules_the_mean_is_assumed_and_nothing_normalized():
    plain = {name: value for name, value in EMBEDDER.items() if "/" not in name and "sent" not in name}
    del plain["modules.json"]
    found = find(plain, pipeline_tag="sentence-similarity")
    said = only_model(found).details
    assert (said["pooling"], said["normalize"], said["modules"]) == ("mean", False, [])
    assert (said["dimensions"], said["max_input"]) == (32, 512)
    assert codes(found) == ["pooling.assumed"]


def test_without_normalize_vectors_keep_their_length():
    files = EMBEDDER | {"modules.json": modules("Transformer", "Pooling")}
    assert details(files)["normalize"] is False


def test_a_decoder_with_modules_embeds():
    config = BERT | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    model = only_model(find(EMBEDDER | {"config.json": config}))
    assert (model.task, model.architecture) == ("feature-extraction", "qwen3")


def test_modules_of_the_librarys_new_layout():
    new = "sentence_transformers.sentence_transformer.modules."
    rows = [
        {"path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
        {"path": "1_Pooling", "type": new + "pooling.Pooling"},
        {"path": "2_Normalize", "type": "sentence_transformers.base.modules.normalize.Normalize"},
    ]
    found = find(EMBEDDER | {"modules.json": rows})
    said = only_model(found).details
    assert [row["type"] for row in said["modules"]] == ["Transformer", "Pooling", "Normalize"]
    assert codes(found) == []


# Dense layers

DENSE = EMBEDDER | {
    "modules.json": modules("Transformer", "Pooling", "Dense", "Normalize"),
    "2_Dense/config.json": {"in_features": 32, "out_features": 8, "bias": True},
    "2_Dense/model.safetensors": "F32",
    "2_Dense/pytorch_model.bin": None,
}


def test_a_dense_layer_is_part_of_the_model_and_its_width_that_of_the_vectors():
    found = find(DENSE)
    model = only_model(found)
    files = [file.path for file in model.variants[0].components[0].files]
    assert files[-3:] == ["1_Pooling/config.json", "2_Dense/config.json", "2_Dense/model.safetensors"]
    assert model.details["dimensions"] == 8
    assert model.variants[0].format == "safetensors"
    assert codes(found) == []
    assert "2_Dense/model.safetensors" in headers_wanted(listing(list(DENSE)))


def test_a_dense_layer_that_is_a_pickle_makes_it_all_one():
    found = find({name: value for name, value in DENSE.items() if name != "2_Dense/model.safetensors"})
    (variant,) = only_model(found).variants
    assert variant.format == "pytorch"
    assert "2_Dense/pytorch_model.bin" in [file.path for _, file in variant.files()]
    assert codes(found) == ["format.pickle"]


# Prompts and limits


def test_a_default_prompt_is_named():
    config = {"prompts": {"query": "q: "}, "default_prompt_name": "query"}
    said = details(EMBEDDER | {"config_sentence_transformers.json": config})
    assert (said["prompts"], said["default_prompt"]) == ({"query": "q: "}, "query")


@pytest.mark.parametrize(
    "config",
    [
        {"prompts": {"query": "q: "}, "default_prompt_name": "absent"},
        {"prompts": {"query": 7}},
        {"prompts": ["query"]},
        {"prompts": {"query": "q" * 20_000}},
        {"prompts": {str(n): "" for n in range(1000)}},
    ],
)
def test_prompts_that_cannot_be_used_are_pointed_out(config):
    found = find(EMBEDDER | {"config_sentence_transformers.json": config})
    assert "default_prompt" not in only_model(found).details
    assert codes(found) == ["metadata.damaged"]


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 256}}, 256),
        ({"sentence_bert_config.json": {"max_seq_length": None}}, 512),
        ({"sentence_bert_config.json": {}, "config.json": BERT | {"max_position_embeddings": 514}}, 512),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 10**30}}, 512),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 1e30}}, 512),
        ({"sentence_bert_config.json": {}, "tokenizer_config.json": {"model_max_length": 64}}, 64),
    ],
)
def test_how_many_tokens_a_text_may_have(files, limit):
    assert details(EMBEDDER | files)["max_input"] == limit


def test_a_tokenizer_without_a_limit_has_none():
    config = {name: value for name, value in BERT.items() if name != "max_position_embeddings"}
    endless = {"config.json": config, "tokenizer_config.json": {"model_max_length": 10**30}}
    assert "max_input" not in details(EMBEDDER | endless | {"sentence_bert_config.json": {}})


def test_the_limit_has_a_file_of_another_name_for_other_encoders():
    files = {name: value for name, value in EMBEDDER.items() if name != "sentence_bert_config.json"}
    files |= {"sentence_roberta_config.json": {"max_seq_length": 75}}
    model = only_model(find(files))
    assert model.details["max_input"] == 75
    assert "sentence_roberta_config.json" in [
        file.path for file in model.variants[0].components[0].files
    ]


# Other layouts


def test_the_transformer_may_have_a_folder_of_its_own():
    base = ("config.json", "tokenizer_config.json", "tokenizer.json", "vocab.txt", "model.safetensors")
    files = {
        f"0_Transformer/{name}" if name in base else name: value for name, value in EMBEDDER.items()
    }
    rows = modules("Transformer", "Pooling")
    rows[0]["path"] = "0_Transformer"
    model = only_model(find(files | {"modules.json": rows}))
    assert {part.folder for part in model.variants[0].components} == {"0_Transformer"}
    assert model.parameters == 1000
    assert model.variants[0].components[1].files[0].path == "0_Transformer/tokenizer_config.json"


def test_modules_that_nobody_knows_are_pointed_out_and_told_to_runtimes():
    files = EMBEDDER | {"modules.json": modules("Transformer", "Pooling", "WordWeights")}
    found = find(files)
    assert codes(found) == ["modules.unknown"]
    assert "WordWeights" in found.warnings[0].text
    assert only_model(found).details["modules"][-1] == {"type": "WordWeights", "path": "2_WordWeights"}


def test_modules_without_a_transformer_are_no_model():
    rows = [{"path": "0_StaticEmbedding", "type": OURS + "StaticEmbedding"}]
    found = find({"modules.json": rows, "0_StaticEmbedding/model.safetensors": None})
    assert found.models == ()
    assert codes(found) == ["modules.unknown", "metadata.damaged"]


def test_a_module_of_somebodys_own_is_code():
    rows = modules("Transformer", "Pooling")
    rows[0]["type"] = "custom_st.Transformer"
    found = find(EMBEDDER | {"modules.json": rows, "custom_st.py": None})
    assert codes(found) == ["modules.unknown", "remote_code"]
    rows[0]["type"] = "other/repo--custom_st.Transformer"
    assert codes(find(EMBEDDER | {"modules.json": rows})) == ["modules.unknown", "remote_code.elsewhere"]


def test_a_transformer_without_a_configuration_is_no_model():
    found = find({name: value for name, value in EMBEDDER.items() if name != "config.json"})
    assert found.models == ()
    assert [warning.text for warning in found.warnings] == [
        "config.json: it is missing; it is passed over."
    ]


def test_a_repository_with_weights_of_other_kinds_alone_is_no_model():
    files = {name: value for name, value in EMBEDDER.items() if name != "model.safetensors"}
    found = find(files | {"openvino/openvino_model.xml": None, "tf_model.h5": None})
    assert found.models == ()
    assert codes(found) == ["weights.missing"]
