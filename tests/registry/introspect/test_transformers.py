import json

import pytest

from modelhub.registry.introspect import (
    Metadata,
    find_families,
    headers_wanted,
    introspect,
)

from .build import chat as gguf_chat
from .build import header as gguf_header
from .build import listing
from .found import codes, only_model, paths, said
from .repos import BERT, CHAT, LLAMA, find, header


def test_a_chat_repository_is_one_model_with_its_tokenizer():
    found = find(CHAT | {"README.md": None, "merges.txt": b"", "special_tokens_map.json": {}})
    model = only_model(found)
    assert codes(found) == []
    assert (model.name, model.task, model.category) == ("tiny-chat", "text-generation", "llm")
    assert (model.architecture, model.context_length, model.parameters) == ("llama", 2048, 1000)
    (variant,) = model.variants
    assert (variant.name, variant.format, variant.precision) == ("bf16", "safetensors", "bf16")
    assert [part.name for part in variant.components] == ["model", "tokenizer"]
    assert {part.folder for part in variant.components} == {""}
    assert paths(variant, "model") == ["model.safetensors", "config.json", "generation_config.json"]
    assert paths(variant, "tokenizer") == [
        "tokenizer_config.json",
        "tokenizer.json",
        "merges.txt",
        "special_tokens_map.json",
    ]


def test_details_are_named_as_those_of_gguf_models():
    found = find(CHAT)
    assert only_model(found).details == {
        "layers": 2,
        "embedding_length": 64,
        "feed_forward_length": 256,
        "heads": 4,
        "kv_heads": 2,
        "key_length": 16,
        "value_length": 16,
        "vocabulary_size": 2000,
        "model_class": "LlamaForCausalLM",
        "tokenizer": "PreTrainedTokenizerFast",
        "chat_template": "{{ messages }}",
        "generation": {"eos_token_id": [2]},
    }
    assert said(found, "model:tiny-chat", "task") == {"text-generation": 80}
    assert said(found, "model:tiny-chat", "context_length") == {2048: 80}
    assert said(found, "variant:tiny-chat:bf16", "precision") == {"bf16": 100}


@pytest.mark.parametrize(
    ("config", "context"),
    [
        ({"n_positions": 1024}, 1024),
        ({"n_ctx": 77, "n_positions": 1024}, 1024),
        ({"max_sequence_length": 4096}, 4096),
        ({"max_seq_len": 4096}, 4096),
        ({"seq_length": 8192}, 8192),
        ({"text_config": {"max_position_embeddings": 131072}}, 131072),
        ({"max_position_embeddings": None, "n_positions": 5}, 5),
        ({}, None),
        ({"max_position_embeddings": 0}, None),
    ],
)
def test_a_context_length_has_many_spellings(config, context):
    config = {"architectures": ["XForCausalLM"]} | config
    assert only_model(find(CHAT | {"config.json": config})).context_length == context


def test_old_spellings_of_sizes():
    gpt2 = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "n_layer": 12,
        "n_embd": 768,
        "n_head": 12,
        "n_inner": None,
        "n_positions": 1024,
    }
    model = only_model(find(CHAT | {"config.json": gpt2}))
    assert model.task == "text-generation"
    details = model.details
    assert [details[name] for name in ("layers", "embedding_length", "heads", "kv_heads")] == [
        12,
        768,
        12,
        12,
    ]
    assert details["key_length"] == 64
    assert "feed_forward_length" not in details


def test_what_differs_from_layer_to_layer_is_a_list():
    config = LLAMA | {
        "num_attention_heads": [4, 8],
        "num_key_value_heads": [1, 2],
        "num_hidden_layers": [2],
    }
    found = find(CHAT | {"config.json": config})
    details = only_model(found).details
    assert (details["heads"], details["kv_heads"]) == ([4, 8], [1, 2])
    assert "layers" not in details
    assert codes(found) == ["metadata.damaged"]


def test_a_window_that_is_not_used_is_none():
    window = CHAT | {"config.json": LLAMA | {"sliding_window": 512, "use_sliding_window": False}}
    assert "sliding_window" not in only_model(find(window)).details
    assert only_model(find(CHAT | {"config.json": LLAMA | {"sliding_window": 512}})).details[
        "sliding_window"
    ] == (512)


# Weights


def test_each_precision_is_a_variant():
    files = CHAT | {
        "model.safetensors": "F32",
        "model.fp16.safetensors": "F16",
        "model.bf16.safetensors": header("BF16", 10),
    }
    model = only_model(find(files))
    assert [(v.name, v.precision, v.parameters) for v in model.variants] == [
        ("fp32", "fp32", 1000),
        ("bf16", "bf16", 10),
        ("fp16", "fp16", 1000),
    ]
    assert paths(model.variants[2], "model")[0] == "model.fp16.safetensors"
    assert model.parameters == 1000


def test_names_of_variants_that_would_clash_are_told_apart():
    files = CHAT | {
        "model.safetensors": "F16",
        "model.fp16.safetensors": "F16",
        "model.fp32.safetensors": "F16",
        "model.ema.safetensors": "F16",
    }
    names = {v.name: paths(v, "model")[0] for v in only_model(find(files)).variants}
    assert names == {
        "fp16": "model.safetensors",
        "ema": "model.ema.safetensors",
        "safetensors-fp16": "model.fp16.safetensors",
        "safetensors": "model.fp32.safetensors",
    }


def test_positions_are_no_parameters():
    files = CHAT | {"model.safetensors": header("F32", 1000, I64=512)}
    assert only_model(find(files)).parameters == 1000


def test_without_a_header_config_and_mark_have_to_do():
    files = CHAT | {"model.safetensors": None, "model.fp16.safetensors": None}
    found = find(files)
    assert [(v.name, v.parameters) for v in only_model(found).variants] == [
        ("bf16", None),
        ("fp16", None),
    ]
    assert said(found, "variant:tiny-chat:bf16", "precision") == {"bf16": 80}


@pytest.mark.parametrize(
    ("quantization", "precision"),
    [
        ({"quant_method": "gptq", "bits": 4}, "int4"),
        ({"quant_method": "awq", "bits": 8}, "int8"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4"),
        ({"quant_method": "bitsandbytes", "_load_in_8bit": True, "load_in_8bit": True}, "int8"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "something"}, None),
    ],
)
def test_packed_weights_have_the_precision_that_the_config_says(quantization, precision):
    config = LLAMA | {"quantization_config": quantization}
    model = only_model(find(CHAT | {"config.json": config, "model.safetensors": header("I32", F16=10)}))
    (variant,) = model.variants
    assert (variant.precision, variant.parameters) == (precision, None)
    assert model.details["quantization"] == quantization["quant_method"]


def test_a_pipeline_is_none_of_it():
    repo = listing(["model_index.json", "config.json", "model.safetensors", "vae/model.safetensors"])
    assert [family.name for family in find_families(repo)] == ["diffusers"]


# Tasks

CHATS, EMBEDS, RANKS, DETECTS = (
    "text-generation",
    "feature-extraction",
    "text-ranking",
    "object-detection",
)
REWRITES, SEES, HEARS = "text2text-generation", "image-text-to-text", "audio-text-to-text"
MASKED = BERT | {"architectures": ["BertForMaskedLM"]}
JUDGING = {"architectures": ["BertForSequenceClassification"]}


@pytest.mark.parametrize(
    ("config", "tag", "task", "rows"),
    [
        ({"architectures": ["Qwen3ForCausalLM"]}, None, CHATS, {CHATS: 80}),
        ({"architectures": ["Qwen3ForCausalLM"]}, DETECTS, CHATS, {CHATS: 80, DETECTS: 30}),
        ({"architectures": ["GPT2LMHeadModel"]}, None, CHATS, {CHATS: 80}),
        (BERT, None, EMBEDS, {EMBEDS: 80}),
        (BERT, "sentence-similarity", EMBEDS, {EMBEDS: 80}),
        (MASKED, None, "fill-mask", {"fill-mask": 80}),
        (MASKED, "sentence-similarity", EMBEDS, {EMBEDS: 30, "fill-mask": 80}),
        ({"architectures": ["MistralModel"]}, EMBEDS, EMBEDS, {EMBEDS: 30}),
        (JUDGING, RANKS, RANKS, {RANKS: 30, "text-classification": 80}),
        (
            JUDGING,
            "zero-shot-classification",
            "zero-shot-classification",
            {"zero-shot-classification": 30, "text-classification": 80},
        ),
        (
            {"architectures": ["T5ForConditionalGeneration"]},
            "translation",
            "translation",
            {"translation": 30, REWRITES: 80},
        ),
        (
            {"architectures": ["T5ForConditionalGeneration"]},
            DETECTS,
            REWRITES,
            {REWRITES: 80, DETECTS: 30},
        ),
        (
            {"architectures": ["GotOcr2ForConditionalGeneration"]},
            "image-to-text",
            "image-to-text",
            {"image-to-text": 30, SEES: 80},
        ),
        (
            {"architectures": ["NewVLForCausalLM"], "vision_config": {"depth": 2}},
            SEES,
            SEES,
            {SEES: 30, CHATS: 80},
        ),
        ({"architectures": ["NewForCausalLM"]}, SEES, CHATS, {CHATS: 80, SEES: 30}),
        (
            {"architectures": ["NewForConditionalGeneration"], "vision_config": {"depth": 2}},
            None,
            SEES,
            {SEES: 80},
        ),
        (
            {"architectures": ["NewForConditionalGeneration"], "audio_config": {"depth": 2}},
            None,
            HEARS,
            {HEARS: 80},
        ),
        (
            {"architectures": ["NewForConditionalGeneration"], "is_encoder_decoder": True},
            None,
            REWRITES,
            {REWRITES: 80},
        ),
        ({"architectures": ["NewForConditionalGeneration"]}, None, CHATS, {CHATS: 80}),
        (
            {"architectures": ["NewForConditionalGeneration"]},
            "translation",
            "translation",
            {"translation": 30},
        ),
        (
            {"model_type": "depth_anything"},
            "depth-estimation",
            "depth-estimation",
            {"depth-estimation": 80},
        ),
        ({"architectures": ["BertForNextSentencePrediction"]}, DETECTS, DETECTS, {DETECTS: 30}),
    ],
)
def test_the_task_is_what_the_structure_says_and_else_the_card(config, tag, task, rows):
    found = find(CHAT | {"config.json": config}, pipeline_tag=tag)
    assert only_model(found).task == task
    assert said(found, "model:tiny-chat", "task") == rows


def test_classes_are_named_where_they_mean_something():
    config = BERT | {
        "architectures": ["ViTForImageClassification"],
        "id2label": {"0": "cat", "1": "dog"},
    }
    details = only_model(find(CHAT | {"config.json": config})).details
    assert (details["id2label"], details["num_labels"]) == ({"0": "cat", "1": "dog"}, 2)
    assert (
        "id2label"
        not in only_model(find(CHAT | {"config.json": LLAMA | {"id2label": {"0": "x"}}})).details
    )


@pytest.mark.parametrize(
    "labels",
    [{"a": "cat"}, {"0": 5}, {"0": "x" * 201}, {str(n): "x" for n in range(2001)}, {"0": "\ud800"}],
)
def test_names_of_classes_that_are_none_are_only_counted(labels):
    config = BERT | {"architectures": ["ViTForImageClassification"], "id2label": labels}
    found = find(CHAT | {"config.json": config})
    details = only_model(found).details
    assert ("id2label" in details, details["num_labels"]) == (False, len(labels))
    assert "metadata.damaged" in codes(found)


def test_a_decoder_whose_card_says_that_it_embeds_does_so_if_it_cannot_chat():
    plain = CHAT | {"tokenizer_config.json": {}}
    assert only_model(find(plain, pipeline_tag="feature-extraction")).task == "feature-extraction"
    assert only_model(find(CHAT, pipeline_tag="feature-extraction")).task == "text-generation"


@pytest.mark.parametrize(
    "config",
    [
        BERT | {"architectures": ["BertForNextSentencePrediction"]},
        {"architectures": ["LlamaModel"], "model_type": "llama"},
        {"model_type": "bert"},
        {},
    ],
)
def test_a_head_that_nobody_knows_is_said_to_be_one(config):
    found = find(CHAT | {"config.json": config}, pipeline_tag="no-such-task")
    assert found.models == ()
    assert codes(found) == ["task.unknown"]


# Chat templates


@pytest.mark.parametrize(
    "files",
    [
        {"chat_template.jinja": b"{{ own }}", "tokenizer_config.json": {"chat_template": "{{ old }}"}},
        {"tokenizer_config.json": {"chat_template": "{{ own }}"}},
        {
            "tokenizer_config.json": {
                "chat_template": [
                    {"name": "tool_use", "template": "{{ tools }}"},
                    {"name": "default", "template": "{{ own }}"},
                ]
            }
        },
    ],
)
def test_where_chat_templates_are(files):
    found = find(CHAT | files)
    assert only_model(found).details["chat_template"] == "{{ own }}"
    assert said(found, "model:tiny-chat", "chat_template") == {True: 80}
    assert codes(found) == []


def test_a_model_without_one_is_pointed_out():
    found = find(CHAT | {"tokenizer_config.json": {}})
    assert "chat_template" not in only_model(found).details
    assert codes(found) == ["chat_template.missing"]


# Code


def test_code_of_the_repository_is_a_component_of_its_own():
    config = LLAMA | {
        "auto_map": {"AutoConfig": "configuration_x.X", "AutoModelForCausalLM": "modeling_x.X"}
    }
    tokenizer = {"chat_template": "{{ m }}", "auto_map": {"AutoTokenizer": ["tokenization_x.X", None]}}
    code = dict.fromkeys(["configuration_x.py", "modeling_x.py", "tokenization_x.py", "tools/more.py"])
    found = find(CHAT | code | {"config.json": config, "tokenizer_config.json": tokenizer})
    (variant,) = only_model(found).variants
    assert paths(variant, "code") == list(code)
    assert codes(found) == ["remote_code"]
    assert "configuration_x.py, modeling_x.py, tokenization_x.py" in found.warnings[0].text


def test_without_a_claim_code_is_no_component():
    (variant,) = only_model(find(CHAT | {"modeling_x.py": None})).variants
    assert [part.name for part in variant.components] == ["model", "tokenizer"]


def test_code_of_another_repository_cannot_be_allowed():
    config = LLAMA | {"auto_map": {"AutoModel": "other/repo--modeling_x.X"}}
    found = find(CHAT | {"config.json": config, "modeling_x.py": None})
    assert codes(found) == ["remote_code.elsewhere"]
    assert "other/repo" in found.warnings[0].text
    model = only_model(found)
    assert model.details["code_elsewhere"] == ["other/repo"]
    assert "code" not in {part.name for part in model.variants[0].components}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokenizer_config.json", {"auto_map": ["tokenization_x.X", None]}),
        ("processor_config.json", {"auto_map": {"AutoProcessor": "tokenization_x.X"}}),
        ("config.json", LLAMA | {"custom_pipelines": {"chat": {"impl": "tokenization_x.X"}}}),
    ],
)
def test_other_places_where_code_is_asked_for(name, value):
    found = find(CHAT | {name: value})
    assert "remote_code" in codes(found)
    text = next(warning.text for warning in found.warnings if warning.code == "remote_code")
    assert "tokenization_x.py, which is missing" in text


# Two formats in one repository


def test_gguf_and_safetensors_of_one_model_are_its_variants():
    files = [*CHAT, "Tiny-Chat-bf16.gguf", "Tiny-Chat-Q8_0.gguf"]
    repo = listing(files, "Tiny-Chat")
    assert [family.name for family in find_families(repo)] == ["transformers", "gguf"]

    small = {name: json.dumps(value).encode() for name, value in CHAT.items() if name.endswith("json")}
    headers = dict.fromkeys(headers_wanted(repo), gguf_header(more=gguf_chat))
    headers["model.safetensors"] = header("BF16")
    found = introspect(repo, Metadata(files=small, headers=headers))
    model = only_model(found)
    assert [(v.name, v.format) for v in model.variants] == [
        ("bf16", "safetensors"),
        ("gguf-bf16", "gguf"),
        ("q8_0", "gguf"),
    ]
    assert model.parameters == 1000
    assert model.details["model_class"] == "LlamaForCausalLM"


def test_two_models_of_one_name_are_told_apart_by_their_formats():

    files = {"config.json": BERT, "model.safetensors": None, "m-q8_0.gguf": None}
    repo = listing(list(files), "Tiny")
    headers = {"m-q8_0.gguf": gguf_header(more=gguf_chat)}
    found = introspect(repo, Metadata({"config.json": json.dumps(BERT).encode()}, headers))
    assert [(model.name, model.task) for model in found.models] == [
        ("tiny", "feature-extraction"),
        ("tiny-gguf", "text-generation"),
    ]
