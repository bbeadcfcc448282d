"""Indexes of pipelines that lie, are broken, or were made to hurt: a warning each, and never an error."""

import json
from time import monotonic

import pytest

from modelhub.registry.introspect import Findings

from .found import codes, only_model, paths
from .pipelines import SDXL, SMALL, index, without
from .repos import find
from .test_damaged import BOMBS, WRONG, told
from .test_diffusers_elsewhere import MODULAR, spec
from .test_diffusers_variants import TRANSFORMER, sharded


def sound(found: Findings) -> bool:
    """Whether all that was found can be written down, and every warning is a line for people."""
    for model in found.models:
        assert model.variants
        model.model_dump_json()
        for variant in model.variants:
            files = [file.path for _, file in variant.files()]
            assert len(files) == len(set(files)), "one file counts twice"
            names = [part.name for part in variant.components]
            assert len(names) == len(set(names))
    for row in found.evidence:
        row.model_dump_json()
    return all(warning.text.isprintable() and len(warning.text) < 600 for warning in found.warnings)


@pytest.mark.parametrize("name", ["model_index.json", "modular_model_index.json"])
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_an_index_that_cannot_be_read_is_named_and_makes_no_model(name, bomb):
    found = find(without(SMALL, "model_index") | {name: bomb})
    assert found.models == ()
    assert [text.partition(":")[0] for text in told(found)] == [name]
    assert sound(found)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_parts_config_that_cannot_be_read_is_named(bomb):
    found = find(SMALL | {"vae/config.json": bomb})
    assert only_model(found).variants[0].precision == "bf16"
    assert all(text.startswith("vae/config.json: ") for text in told(found))
    assert told(found)
    assert sound(found)


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_a_shard_index_that_cannot_be_read_is_named_and_its_variant_left_out(bomb):
    files = SMALL | sharded(TRANSFORMER, "fp16")
    found = find(files | {f"{TRANSFORMER}.safetensors.index.fp16.json": bomb})
    assert [v.name for v in only_model(found).variants] == ["bf16"]
    assert told(found)
    assert sound(found)


@pytest.mark.parametrize(
    "name",
    ["../vae/x.safetensors", "/etc/passwd", "a\\b.safetensors", "x.bin", "nothing.safetensors", ""],
)
def test_a_shard_index_that_names_what_it_must_not_is_not_followed(name):
    files = SMALL | sharded(TRANSFORMER, "fp16")
    tensors = {"weight_map": {"a": f"{TRANSFORMER}.fp16-00001-of-00002.safetensors", "b": name}}
    found = find(files | {f"{TRANSFORMER}.safetensors.index.fp16.json": tensors})
    assert [v.name for v in only_model(found).variants] == ["bf16"]
    assert codes(found)[0] in ("metadata.damaged", "shards.missing")


@pytest.mark.parametrize(
    "name",
    [
        "../vae",
        "vae/..",
        "a/b",
        "/etc",
        "..",
        ".",
        "",
        "a\\b",
        "a b",
        "vаe",
        "code",
        "pipeline",
        "x" * 65,
        "a\nb",
    ],
)
def test_a_part_with_a_name_that_is_none_is_passed_over(name):
    entry = {name: ["diffusers", "AutoencoderKL"]}
    found = find(SMALL | {"model_index.json": SMALL["model_index.json"] | entry})
    names = [part.name for part in only_model(found).variants[0].components]
    assert names == ["scheduler", "transformer", "vae", "pipeline"]
    (text,) = told(found)
    assert "cannot be the name of a component" in text
    assert sound(found)


@pytest.mark.parametrize(
    "value",
    [
        ["diffusers", None],
        [None, "AutoencoderKL"],
        ["diffusers", 7],
        ["diffusers", ["X"]],
        ["diffusers", ""],
        ["diffusers", "x" * 301],
        ["diffusers", "a\nb"],
        [{}, {}],
        ["diffusers"],
        ["diffusers", "X", "Y", "Z"],
        ["diffusers", "X", 7],
        [[[[]]]],
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_part_of_another_shape_is_passed_over(value):
    found = find(SMALL | index(image_encoder=value))
    assert "image_encoder" not in {part.name for part in only_model(found).variants[0].components}
    assert len(told(found)) == 1
    assert "image_encoder" in told(found)[0]


@pytest.mark.parametrize(
    "value", [7, True, [], ["a"], ["a", 7], ["../x", "Y"], ["/x", "Y"], {}, "x" * 301, "a\nb"]
)
def test_a_class_that_is_none_leaves_the_task_to_the_card(value):
    found = find(SMALL | index(_class_name=value), pipeline_tag="text-to-image")
    assert only_model(found).task == "text-to-image"
    assert len(told(found)) == 1
    assert "_class_name" in told(found)[0]
    assert sound(found)


@pytest.mark.parametrize(
    "entry",
    [
        {"pretrained_model_name_or_path": "/etc"},
        {"pretrained_model_name_or_path": "../other/flux"},
        {"pretrained_model_name_or_path": "https://example.org/x"},
        {"pretrained_model_name_or_path": ["a/b"]},
        {"pretrained_model_name_or_path": 7},
        {"subfolder": "../../etc"},
        {"subfolder": "/etc"},
        {"subfolder": 7},
        {"revision": "a\nb"},
        {"variant": {}},
        {"type_hint": 7},
    ],
    ids=repr,
)
def test_a_place_that_is_none_is_told(entry):
    place = {"pretrained_model_name_or_path": "other/flux", "subfolder": "vae"} | entry
    vae = [None, None, {"type_hint": ["diffusers", "AutoencoderKL"], **place}]
    modular = MODULAR["modular_model_index.json"] | {"vae": vae}
    found = find(MODULAR | {"modular_model_index.json": modular})
    assert "vae" not in {part.name for part in only_model(found).variants[0].components}
    assert bool(told(found)) == ("type_hint" not in entry)
    assert sound(found)


def test_a_folder_that_is_not_there():
    found = find(without(SMALL, "vae/"))
    assert found.models == ()
    assert codes(found) == ["weights.missing"]
    found = find(without(SMALL, "scheduler/"))
    assert told(found) == ["scheduler: none of its files is here; it is passed over."]
    assert "scheduler" not in {part.name for part in only_model(found).variants[0].components}


def test_a_config_that_is_not_there_is_told():
    found = find(without(SMALL, "vae/config.json"))
    assert told(found) == ["vae/config.json: it is missing; it is passed over."]
    assert only_model(found).variants[0].precision == "bf16"


def test_of_two_parts_that_claim_the_same_weights_the_first_has_them():
    modular = MODULAR["modular_model_index.json"] | {
        "transformer_2": spec("FluxTransformer2DModel", "transformer"),
        "vae": None,
    }
    modular |= {"tokenizer": spec("CLIPTokenizer", "transformer")}
    modular = dict(
        reversed(modular.items())
    )  # the tokenizer first, and transformer_2 before transformer
    found = find(MODULAR | {"modular_model_index.json": modular, "transformer/merges.txt": b""})
    (variant,) = only_model(found).variants
    assert paths(variant, "transformer_2") == [
        "transformer/diffusion_pytorch_model.safetensors",
        "transformer/config.json",
    ]
    assert "transformer" not in {part.name for part in variant.components}
    assert paths(variant, "tokenizer") == ["transformer/merges.txt"]
    assert told(found) == ["transformer: its weights are those of transformer_2; it is passed over."]
    assert sound(found)


def test_two_parts_whose_shard_indexes_name_one_file():
    names = {"weight_map": {"a": "deep/x.safetensors"}}
    files = SMALL | {
        "transformer/diffusion_pytorch_model.fp16-00001-of-00001.safetensors": "F16",
        "transformer/diffusion_pytorch_model.safetensors.index.fp16.json": names,
        "transformer/deep/x.safetensors": "F16",
    }
    inner = spec("AutoencoderKL", "transformer/deep")
    modular = {"modular_model_index.json": {"inner": inner}, "transformer/deep/config.json": {}}
    more = {
        "transformer/deep/diffusion_pytorch_model-00001-of-00001.safetensors": "F16",
        "transformer/deep/diffusion_pytorch_model.safetensors.index.json": {
            "weight_map": {"a": "x.safetensors"}
        },
    }
    found = find(files | modular | more)
    assert "inner: its weights are those of transformer; it is passed over." in told(found)
    assert sound(found)


def test_a_great_many_parts_and_files_take_no_great_time():
    parts = {f"part_{n}": ["diffusers", "AutoencoderKL"] for n in range(5000)}
    files = {f"part_{n}/config.json": None for n in range(50)}
    files |= {f"part_{n}/diffusion_pytorch_model.safetensors": None for n in range(5000)}
    files |= {f"tokenizer/{n}.txt": None for n in range(50_000)}
    whole = index(tokenizer=["transformers", "CLIPTokenizer"], **parts)
    start = monotonic()
    found = find(SMALL | files | whole)
    assert monotonic() - start < 20
    assert any("more than 64 components" in text for text in told(found))
    assert sound(found)


@pytest.mark.parametrize("value", WRONG, ids=lambda value: repr(value)[:20])
def test_each_value_of_an_index_may_be_anything(value):
    for files in (SDXL, MODULAR):
        path = next(iter(set(files) & {"model_index.json", "modular_model_index.json"}))
        for key in files[path]:
            assert sound(find(files | {path: files[path] | {key: value}}))
    place = MODULAR["modular_model_index.json"]["vae"][2]
    for key in place:
        modular = MODULAR["modular_model_index.json"] | {"vae": [None, None, place | {key: value}]}
        assert sound(find(MODULAR | {"modular_model_index.json": modular}))


def test_an_index_of_thousands_of_wrong_names_is_told_in_a_few_lines():
    entries = {f"a/{n}": ["diffusers", "X"] for n in range(1000)}
    found = find(SMALL | {"model_index.json": SMALL["model_index.json"] | entries})
    assert len(told(found)) == 20
    assert len(json.dumps([warning.text for warning in found.warnings])) < 4000
