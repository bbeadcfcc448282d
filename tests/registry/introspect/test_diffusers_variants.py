"""Variants of pipelines by the marks in file names; shards; pickles."""

import pytest

from .found import codes, only_model, paths
from .pipelines import SDXL, SMALL, index, without
from .repos import find, header

TRANSFORMER = "transformer/diffusion_pytorch_model"


def weights(variant):
    """The weight files of a variant by its parts."""
    return {
        part.name: [file.path for file in part.files if file.path.suffix in (".safetensors", ".bin")]
        for part in variant.components
        if part.format
    }


def test_each_mark_is_a_variant_and_the_unmarked_one_takes_no_marked_files():
    model = only_model(find(SDXL))
    assert [(v.name, v.precision) for v in model.variants] == [("fp32", "fp32"), ("fp16", "fp16")]
    plain, marked = map(weights, model.variants)
    assert plain == {
        "text_encoder": ["text_encoder/model.safetensors"],
        "text_encoder_2": ["text_encoder_2/model.safetensors"],
        "unet": ["unet/diffusion_pytorch_model.safetensors"],
        "vae": ["vae/diffusion_pytorch_model.safetensors"],
    }
    assert marked == {
        part: [path.replace(".safetensors", ".fp16.safetensors") for path in files]
        for part, files in plain.items()
    }


def test_a_variant_takes_unmarked_weights_of_what_has_none_of_its_own():
    model = only_model(find(without(SDXL, "vae/diffusion_pytorch_model.fp16")))
    marked = weights(next(v for v in model.variants if v.name == "fp16"))
    assert marked["vae"] == ["vae/diffusion_pytorch_model.safetensors"]
    assert marked["unet"] == ["unet/diffusion_pytorch_model.fp16.safetensors"]


def test_where_a_part_is_only_marked_there_is_no_unmarked_variant():
    found = find(without(SDXL, "vae/diffusion_pytorch_model.safetensors"))
    assert [v.name for v in only_model(found).variants] == ["fp16"]
    assert codes(found) == []


def test_marks_that_are_no_precision_name_their_variants():
    more = {f"{TRANSFORMER}.ema.safetensors": "BF16", f"{TRANSFORMER}.non_ema.safetensors": "F32"}
    model = only_model(find(SMALL | more))
    assert [(v.name, v.precision) for v in model.variants] == [
        ("fp32", "fp32"),
        ("bf16", "bf16"),
        ("ema", "bf16"),
    ]


def test_a_mark_that_lies_about_the_precision_names_nothing():
    model = only_model(find(SMALL | {f"{TRANSFORMER}.fp16.safetensors": "BF16"}))
    assert [(v.name, v.precision) for v in model.variants] == [
        ("bf16", "bf16"),
        ("safetensors-bf16", "bf16"),
    ]


def sharded(stem, mark="", count=2, index=None):
    """Shards under the names that diffusers and transformers give them, and their index."""
    marked = f"{stem}.{mark}" if mark else stem
    names = [f"{marked}-{n:05}-of-{count:05}.safetensors" for n in range(1, count + 1)]
    tensors = {f"t{n}": name.rpartition("/")[2] for n, name in enumerate(names)}
    path = index or f"{stem}.safetensors.index{f'.{mark}' if mark else ''}.json"
    return dict.fromkeys(names, "F16" if mark else "F32") | {path: {"weight_map": tensors}}


def test_shards_come_with_their_index_marked_or_not():
    files = without(SMALL, TRANSFORMER) | sharded(TRANSFORMER) | sharded(TRANSFORMER, "fp16", 3)
    found = find(files)
    assert codes(found) == []
    plain, marked = only_model(found).variants
    assert (plain.name, plain.parameters, marked.name, marked.parameters) == ("fp32", 2000, "fp16", 3000)
    assert paths(plain, "transformer") == [
        f"{TRANSFORMER}-00001-of-00002.safetensors",
        f"{TRANSFORMER}-00002-of-00002.safetensors",
        f"{TRANSFORMER}.safetensors.index.json",
        "transformer/config.json",
    ]
    assert paths(marked, "transformer") == [
        *[f"{TRANSFORMER}.fp16-0000{n}-of-00003.safetensors" for n in (1, 2, 3)],
        f"{TRANSFORMER}.safetensors.index.fp16.json",
        "transformer/config.json",
    ]


@pytest.mark.parametrize("name", ["safetensors.index.fp16.json", "safetensors.fp16.index.json"])
def test_shards_as_they_were_marked_once(name):
    names = [f"{TRANSFORMER}-0000{n}-of-00002.fp16.safetensors" for n in (1, 2)]
    tensors = {f"t{n}": path.rpartition("/")[2] for n, path in enumerate(names)}
    more = dict.fromkeys(names, "F16") | {f"{TRANSFORMER}.{name}": {"weight_map": tensors}}
    found = find(SMALL | more)
    assert codes(found) == []
    marked = next(v for v in only_model(found).variants if v.name == "fp16")
    assert paths(marked, "transformer")[:3] == [*names, f"{TRANSFORMER}.{name}"]


def test_a_variant_that_lacks_a_shard_is_left_out_and_takes_no_unmarked_ones():
    files = SMALL | sharded(TRANSFORMER, "fp16")
    del files[f"{TRANSFORMER}.fp16-00002-of-00002.safetensors"]
    found = find(files | {"vae/diffusion_pytorch_model.fp16.safetensors": "F16"})
    assert [v.name for v in only_model(found).variants] == ["bf16"]
    assert codes(found) == ["shards.missing"]
    assert f"{TRANSFORMER}.fp16-00002-of-00002.safetensors" in found.warnings[0].text


def test_where_the_unmarked_weights_lack_a_shard_the_marked_variant_stays():
    files = (
        without(SMALL, TRANSFORMER) | sharded(TRANSFORMER) | {f"{TRANSFORMER}.fp16.safetensors": "F16"}
    )
    del files[f"{TRANSFORMER}-00001-of-00002.safetensors"]
    found = find(files)
    assert [v.name for v in only_model(found).variants] == ["fp16"]
    assert codes(found) == ["shards.missing"]


def test_where_no_variant_is_whole_there_is_no_model():
    files = without(SMALL, TRANSFORMER) | sharded(TRANSFORMER)
    found = find(without(files, f"{TRANSFORMER}.safetensors.index"))
    assert found.models == ()
    assert codes(found) == ["shards.missing"]


# Pickles


def test_pickles_beside_safetensors_are_passed_over():
    found = find(SMALL | {f"{TRANSFORMER}.bin": None, f"{TRANSFORMER}.fp16.bin": None})
    (variant,) = only_model(found).variants
    assert variant.format == "safetensors"
    assert codes(found) == []


def test_one_part_that_is_a_pickle_makes_the_variant_one():
    found = find(without(SMALL, "vae/diff") | {"vae/diffusion_pytorch_model.bin": None})
    (variant,) = only_model(found).variants
    assert (variant.name, variant.format, variant.precision) == ("bf16", "pytorch", "bf16")
    formats = {part.name: part.format for part in variant.components if part.format}
    assert formats == {"transformer": "safetensors", "vae": "pytorch"}
    assert codes(found) == ["format.pickle"]
    assert "vae/diffusion_pytorch_model.bin" in found.warnings[0].text


def test_pickles_of_several_parts_and_variants_are_told_in_one_warning():
    files = {path.replace(".safetensors", ".bin"): value for path, value in SDXL.items()}
    files = {path.replace("/model", "/pytorch_model"): value for path, value in files.items()}
    found = find({path: None if path.endswith(".bin") else value for path, value in files.items()})
    assert {v.format for v in only_model(found).variants} == {"pytorch"}
    assert codes(found) == ["format.pickle"]


def test_a_model_without_weights_that_modelhub_reads_makes_no_pipeline():
    files = without(SMALL, "vae/diff")
    for more in ({}, {"vae/diffusion_flax_model.msgpack": None}, {"vae/model.onnx": None}):
        found = find(files | more)
        assert found.models == ()
        assert codes(found) == ["weights.missing"]
        assert "In vae " in found.warnings[0].text
    found = find(files | {"vae/model.safetensors": "F32"})  # as transformers would name it
    assert codes(found) == ["weights.missing"]


def test_parameters_are_of_all_shards_or_not_known():
    files = without(SMALL, TRANSFORMER) | sharded(TRANSFORMER)
    files[f"{TRANSFORMER}-00002-of-00002.safetensors"] = None
    (variant,) = only_model(find(files)).variants
    assert (variant.precision, variant.parameters) == ("fp32", None)
    whole = files | {f"{TRANSFORMER}-00002-of-00002.safetensors": header("F32", 7)}
    assert only_model(find(whole | index())).parameters == 1007
