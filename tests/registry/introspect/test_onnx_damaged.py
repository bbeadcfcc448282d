"""ONNX repositories that contradict themselves, lack files, or were made to hurt."""

import json

import pytest

from modelhub.registry.introspect import headers_wanted
from modelhub.registry.introspect.onnx.family import MAX_MODELS, MAX_VARIANTS

from .build import listing
from .found import codes, only_model, said
from .onnx_repos import DEPTH, IMAGE, QWEN, TOKENIZER, YOLO, find, header
from .test_damaged import BOMBS, WRONG

GIVES = {"predicted_depth": (1, 8, 8)}


def depth(dtype: str = "fp32", **more):
    return header(dtype, IMAGE, GIVES, **more)


@pytest.mark.parametrize(
    ("mark", "dtype", "named", "read"),
    [("fp16", "fp32", "fp16", "fp32"), ("fp32", "fp16", "fp32", "fp16"), ("q4", "fp16", "int4", "fp16")],
)
def test_a_name_that_its_header_contradicts_is_kept_as_said(mark, dtype, named, read):
    found = find(DEPTH | {f"onnx/model_{mark}.onnx": depth(dtype)})
    (variant,) = only_model(found).variants
    assert variant.precision == read
    rows = said(found, f"variant:tiny:{variant.name}", "precision")
    assert rows == {named: 50, read: 100}


def test_a_name_that_would_mislead_is_no_variants_name():
    found = find(DEPTH | {"onnx/model.onnx": depth(), "onnx/model_fp16.onnx": depth()})
    assert [variant.name for variant in only_model(found).variants] == ["fp32", "onnx-fp16"]
    assert {variant.precision for variant in only_model(found).variants} == {"fp32"}


@pytest.mark.parametrize(
    ("location", "size", "code"),
    [
        ("model.onnx_data", None, "shards.missing"),
        ("model.onnx_data", 3999, "shards.missing"),
        ("elsewhere/model.onnx_data", 4000, "shards.missing"),
        ("../../outside", 4000, "metadata.damaged"),
        ("/etc/passwd", 4000, "metadata.damaged"),
        ("a\\b", 4000, "metadata.damaged"),
    ],
)
def test_weights_that_are_not_where_the_header_says(location, size, code):
    files = DEPTH | {"onnx/model.onnx": depth(external={location: 4000}), "onnx/model_q4.onnx": 1 << 20}
    if size:
        files |= {"onnx/model.onnx_data": size}
    found = find(files)
    assert [variant.name for variant in only_model(found).variants] == ["q4"]
    (warning,) = found.warnings
    assert warning.code == code
    assert "onnx/model.onnx" in warning.text
    assert warning.text.endswith("the variant is left out.")


def test_the_folder_itself_may_be_named():
    files = DEPTH | {"onnx/model.onnx": depth(external={"./w.bin": 40}), "onnx/w.bin": 40}
    assert only_model(find(files)).variants[0].bytes > 40


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "modules.json"])
def test_small_files_that_cannot_be_read_are_named_and_passed_over(name, bomb):
    files = {"config.json": QWEN, **TOKENIZER, name: bomb, "onnx/model.onnx": depth()}
    found = find(files, pipeline_tag="depth-estimation")
    assert len(only_model(found).variants) == 1
    told = [warning.text for warning in found.warnings if warning.code == "metadata.damaged"]
    assert told
    assert all(text.startswith(f"{name}: ") for text in told)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("key", [*QWEN, "text_config", "quantization_config"])
def test_a_value_of_another_type_is_passed_over(key, value):
    files = {"config.json": QWEN | {key: value}, **TOKENIZER, "onnx/model.onnx": depth()}
    for model in find(files, pipeline_tag="text-generation").models:
        model.model_dump_json()


ODD = {
    "an empty name": {"": (1,)},
    "lines": {"a\nb": (1,)},
    "a long name": {"x" * 5000: (1,)},
    "turned around": {"\u202e": ("\u202e",)},
    "very many": {f"x{n}": (1,) for n in range(2000)},
    "many dimensions": {"x": (1,) * 64},
    "a negative dimension": {"x": (-1,)},
    "a huge dimension": {"x": (1 << 62,)},
}


@pytest.mark.parametrize("takes", ODD.values(), ids=ODD)
def test_odd_inputs_are_kept_as_json(takes):
    found = find({"tiny.onnx": header("fp32", takes, takes)}, pipeline_tag="depth-estimation")
    text = only_model(found).model_dump_json()
    assert len(text) < 100_000
    for value in json.loads(text)["details"]["graphs"]["model"]["inputs"]:
        assert value["name"].isprintable()
    unknown = find({"tiny.onnx": header("fp32", takes, takes)})
    assert all(len(warning.text) < 2500 for warning in unknown.warnings)


@pytest.mark.parametrize("license_id", ["", "\n", "x" * 5000, "\u202e"])
def test_a_licence_that_is_no_name_is_none(license_id):
    found = find({"tiny.onnx": header(metadata=YOLO | {"license": license_id})})
    assert said(found, "model:tiny", "license") == {}


def test_names_that_differ_only_in_case_or_mark_stay_apart():
    files = DEPTH | {"a/Tiny.onnx": depth(), "b/tiny.onnx": depth(), "b/tiny-fp32.onnx": depth()}
    found = find(files, pipeline_tag="depth-estimation")
    assert [model.name for model in found.models] == ["tiny", "b-tiny"]
    assert [v.name for v in found.models[1].variants] == ["fp32", "onnx-fp32"]


def test_two_spellings_of_one_mark_are_two_variants():
    found = find(DEPTH | dict.fromkeys(["a-fp16.onnx", "a_fp16.onnx"], 1 << 20))
    assert [(v.name, v.precision) for v in only_model(found).variants] == [
        ("a_fp16.onnx", "fp16"),
        ("fp16", "fp16"),
    ]


def test_a_repository_of_very_many_graphs_costs_little():
    files = dict.fromkeys((f"voices/v{n}/v{n}.onnx" for n in range(20_000)), 1 << 20)
    assert len(headers_wanted(listing(files))) == 32
    found = find(files, pipeline_tag="text-to-speech")
    assert len(found.models) == MAX_MODELS
    assert codes(found) == ["graphs.many"]


def test_a_graph_with_very_many_files_of_weights_costs_little():
    files = dict.fromkeys((f"onnx/model.onnx_data_{n}" for n in range(20_000)), 10)
    found = find(DEPTH | files | {"onnx/model.onnx": None})
    assert len(only_model(found).variants[0].components[0].files) == 20_001


def test_one_graph_in_very_many_precisions_and_folders():
    marks = ("fp32", "fp16", "int8", "q4")
    files = {f"cuda/cuda-{mark}-{n}/model.onnx": 1 << 20 for mark in marks for n in range(2000)}
    found = find({"config.json": QWEN} | files)
    assert len({variant.name for variant in only_model(found).variants}) == MAX_VARIANTS
    assert "graphs.many" in codes(found)
