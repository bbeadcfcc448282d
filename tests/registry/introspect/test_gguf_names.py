"""Names of GGUF files: of variants, of models, and of what is neither."""

import pytest

from modelhub.registry.introspect import headers_wanted

from .build import chat, find, header, listing
from .found import only_model


def test_a_folder_for_each_quantization_is_one_model():
    model = only_model(
        find(
            {
                "BF16/Big-BF16-00001-of-00002.gguf": 50,
                "BF16/Big-BF16-00002-of-00002.gguf": 50,
                "UD-Q4_K_XL/Big-UD-Q4_K_XL.gguf": 20,
                "Big-Q4_K_M.gguf": 10,
                "Q2_K/big.gguf": 5,
            },
            {},
        )
    )
    assert [(v.name, v.precision, v.components[0].folder) for v in model.variants] == [
        ("bf16", "bf16", "BF16"),
        ("q4_k_m", "q4_k_m", ""),
        ("ud-q4_k_xl", "q4_k", "UD-Q4_K_XL"),
        ("q2_k", "q2_k", "Q2_K"),
    ]


def test_names_of_variants_that_would_clash_are_told_apart():
    model = only_model(
        find(
            [
                "M-Q4_K_M.gguf",
                "M.i1-Q4_K_M.gguf",
                "M-UD-Q4_K_M.gguf",
                "M-f16.gguf",
                "M-fp16.gguf",
                "M-UD-IQ2_M.gguf",
                "M-UD-Q4_K_XL.gguf",
            ]
        )
    )
    assert {v.name: v.components[0].files[0].path for v in model.variants} == {
        "q4_k_m": "M-Q4_K_M.gguf",
        "i1-q4_k_m": "M.i1-Q4_K_M.gguf",
        "ud-q4_k_m": "M-UD-Q4_K_M.gguf",
        "fp16": "M-f16.gguf",
        "m-fp16": "M-fp16.gguf",
        "iq2_m": "M-UD-IQ2_M.gguf",
        "ud-q4_k_xl": "M-UD-Q4_K_XL.gguf",
    }


def test_the_same_name_at_several_places_is_still_told_apart():
    model = only_model(find(["Q8_0/M-Q8_0.gguf", "M-Q8_0/M-Q8_0.gguf", "M-Q8_0.gguf", "m/M-Q8_0.gguf"]))
    assert [variant.name for variant in model.variants] == ["m-q8_0", "m-q8_0-2", "m-q8_0-3", "q8_0"]


def test_a_precision_that_no_name_says_comes_from_the_header():
    files = {"m.gguf": 50, "m-q4.gguf": 20, "m-Q8_0.gguf": 10}
    found = find(files, {"m.gguf": header(more=chat), "m-q4.gguf": header(more=chat)})
    assert {(v.name, v.precision) for v in only_model(found).variants} == {
        ("q8_0", "q8_0"),
        ("q4_k_m", "q4_k_m"),
        ("q4", "q4_k_m"),
    }
    unknown = only_model(find(["m.gguf"], {})).variants[0]
    assert (unknown.name, unknown.precision) == ("m", None)


def test_several_models_in_one_repository():
    files = {"Qwen3-0.6B-Q8_0.gguf": 2, "Qwen3-0.6B-f16.gguf": 4, "Qwen3-4B-Q8_0.gguf": 9}
    small, large = header(more=chat), header("qwen3", more=chat, tensors={"a": (9, 32)})
    found = find(files, {"Qwen3-0.6B-Q8_0.gguf": small, "Qwen3-4B-Q8_0.gguf": large})
    assert headers_wanted(listing(files)) == ("Qwen3-0.6B-Q8_0.gguf", "Qwen3-4B-Q8_0.gguf")
    assert [(m.name, m.architecture, m.parameters, len(m.variants)) for m in found.models] == [
        ("qwen3-0.6b", "llama", 128, 2),
        ("qwen3-4b", "qwen3", 288, 1),
    ]


def test_models_whose_names_no_tag_can_spell_still_are_several():
    found = find(["模型-q8_0.gguf", "型模-q8_0.gguf", "型模-f16.gguf"])
    assert [(model.name, len(model.variants)) for model in found.models] == [
        ("tiny-chat", 2),
        ("tiny-chat-2", 1),
    ]


def test_models_of_one_name_are_told_apart_by_their_folders():
    found = find(["small/model-q4_0.gguf", "large/model-q4_0.gguf", "small/model-q8_0.gguf"])
    assert [(model.name, len(model.variants)) for model in found.models] == [
        ("model", 1),
        ("small-model", 2),
    ]


@pytest.mark.parametrize(
    ("repository", "file", "name"),
    [
        ("Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf", "qwen3-0.6b"),
        ("model.gguf", "model.gguf", "model"),
        ("zoo-chat-q4_k_m.gguf", "zoo-chat-q4_k_m.gguf", "zoo-chat"),
        ("Q8_0.gguf", "Q8_0.gguf", "model"),
        ("GGUF", "Q8_0.gguf", "gguf"),
        ("Mixed", "Something-Else-f16.gguf", "mixed"),
    ],
)
def test_the_only_model_is_called_like_its_repository(repository, file, name):
    assert only_model(find([file], name=repository)).name == name
