"""How a model writes unasked, and the files that make images and sounds into what it reads."""

import pytest

from .found import codes, only_model, paths
from .onnx_repos import find as find_onnx
from .repos import CHAT, find

WHISPER = {
    "alignment_heads": [[2, 2], [3, 0]],
    "begin_suppress_tokens": [220, 50257],
    "decoder_start_token_id": 50258,
    "eos_token_id": 50257,
    "forced_decoder_ids": [[1, None], [2, 50359]],
    "is_multilingual": True,
    "lang_to_id": {"<|de|>": 50261, "<|en|>": 50259},
    "max_length": 448,
    "no_timestamps_token_id": 50363,
    "return_timestamps": False,
    "suppress_tokens": [1, 2, 7],
    "task_to_id": {"transcribe": 50359, "translate": 50358},
    "transformers_version": "4.31.0.dev0",
}


def generation(value):
    return only_model(find(CHAT | {"generation_config.json": value})).details.get("generation")


def test_defaults_are_read_by_their_names():
    settings = {
        "do_sample": True,
        "temperature": 0.6,
        "top_k": 20,
        "top_p": 1,
        "repetition_penalty": 1.05,
        "eos_token_id": [151645, 151643],
        "max_new_tokens": 512,
    }
    assert generation(settings | {"no_such": 1}) == settings
    assert generation({"suppress_tokens": [-1]}) is None


def test_whisper_says_its_languages_and_tasks():
    wanted = {name: value for name, value in WHISPER.items() if name != "transformers_version"}
    assert generation(WHISPER) == wanted | {"eos_token_id": [50257]}


def test_without_the_file_there_are_none():
    files = {name: value for name, value in CHAT.items() if name != "generation_config.json"}
    assert "generation" not in only_model(find(files)).details


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": -1},
        {"temperature": "hot"},
        {"temperature": 1e9},
        {"temperature": True},
        {"top_p": 1.5},
        {"top_k": -1},
        {"do_sample": 1},
        {"eos_token_id": [1] * 1001},
        {"eos_token_id": [1.5]},
        {"eos_token_id": [[1]]},
        {"eos_token_id": 1 << 40},
        {"lang_to_id": {"de": "x"}},
        {"lang_to_id": {"\ud800": 1}},
        {"lang_to_id": {str(n): n for n in range(501)}},
        {"alignment_heads": [[1, 2, 3]]},
        {"alignment_heads": [[0, 0]] * 501},
        {"forced_decoder_ids": 5},
    ],
)
def test_what_is_out_of_range_is_passed_over_and_told(settings):
    found = find(CHAT | {"generation_config.json": settings | {"max_new_tokens": 5}})
    assert only_model(found).details["generation"] == {"max_new_tokens": 5}
    assert codes(found) == ["metadata.damaged"]


def test_not_even_infinity_is_a_number():
    found = find(CHAT | {"generation_config.json": b'{"temperature": 1e999, "top_p": 0.5}'})
    assert only_model(found).details["generation"] == {"top_p": 0.5}


PROCESSOR: dict[str, dict[str, object]] = {
    "preprocessor_config.json": {},
    "processor_config.json": {},
    "video_preprocessor_config.json": {},
}


def test_what_makes_images_into_input_is_a_component_of_every_variant():
    files = CHAT | PROCESSOR | {"model.fp16.safetensors": "F16", "sub/preprocessor_config.json": {}}
    for variant in only_model(find(files)).variants:
        assert [part.name for part in variant.components] == ["model", "tokenizer", "processor"]
        assert paths(variant, "processor") == list(PROCESSOR)


def test_a_vision_model_has_one_and_no_tokenizer():
    files = {
        "config.json": {"architectures": ["ViTForImageClassification"], "model_type": "vit"},
        "preprocessor_config.json": {"auto_map": {"AutoImageProcessor": "image_processing_x.X"}},
        "image_processing_x.py": None,
        "model.safetensors": "F32",
    }
    found = find(files)
    model = only_model(found)
    (variant,) = model.variants
    assert [part.name for part in variant.components] == ["model", "processor", "code"]
    assert (model.task, model.parameters) == ("image-classification", 1000)
    assert codes(found) == ["remote_code"]


def test_graphs_have_them_too():
    files = {"config.json": {"model_type": "whisper"}, "generation_config.json": WHISPER}
    details = only_model(find_onnx(files | {"onnx/model.onnx": None})).details
    assert details["generation"]["lang_to_id"]["<|de|>"] == 50261
