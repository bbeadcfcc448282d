"""Weights of transformers models: shards and their index, pickles."""

from modelhub.registry.introspect import (
    headers_wanted,
)

from .build import listing
from .found import codes, only_model, paths
from .repos import CHAT, find, header

SHARDS = [f"model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]


def sharded(files=SHARDS, weight_map=None):
    whole = {name: header("BF16", 10 + n) for n, name in enumerate(files)}
    index = {"weight_map": weight_map or {f"t{n}": name for n, name in enumerate(SHARDS)}}
    rest = {name: value for name, value in CHAT.items() if name != "model.safetensors"}
    return rest | whole | {"model.safetensors.index.json": index}


def test_shards_are_one_variant_in_order():
    found = find(sharded(SHARDS[::-1]))
    assert codes(found) == []
    (variant,) = only_model(found).variants
    assert paths(variant, "model")[:4] == [*SHARDS, "model.safetensors.index.json"]
    assert (variant.name, variant.parameters) == ("bf16", 33)


def test_shards_of_a_marked_variant():
    names = [f"model.fp16-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {"weight_map": {"a": names[0], "b": names[1]}}
    files = CHAT | dict.fromkeys(names, "F16") | {"model.safetensors.index.fp16.json": index}
    model = only_model(find(files))
    assert [v.name for v in model.variants] == ["bf16", "fp16"]
    assert paths(model.variants[1], "model")[:3] == [*names, "model.safetensors.index.fp16.json"]


def test_every_header_is_wanted_but_not_of_hundreds_of_shards():
    assert headers_wanted(listing(list(sharded()))) == tuple(SHARDS)
    many = [f"model-{n:05}-of-00100.safetensors" for n in range(1, 101)]
    files = ["config.json", "model.fp16.safetensors", *many]
    assert headers_wanted(listing(files)) == (many[0], "model.fp16.safetensors")
    index = {"weight_map": {f"t{n}": name for n, name in enumerate(many)}}
    rest = {name: value for name, value in CHAT.items() if name != "model.safetensors"}
    found = find(rest | dict.fromkeys(many, "BF16") | {"model.safetensors.index.json": index})
    (variant,) = only_model(found).variants
    assert (variant.name, variant.parameters) == ("bf16", None)
    assert (
        len(headers_wanted(listing(["config.json", *(f"model.v{n}.safetensors" for n in range(99))])))
        == 64
    )


def test_a_variant_that_lacks_a_shard_is_left_out():
    found = find(sharded(SHARDS[:2]) | {"model.fp16.safetensors": "F16"})
    assert [v.name for v in only_model(found).variants] == ["fp16"]
    (warning,) = found.warnings
    assert warning.code == "shards.missing"
    assert "model.safetensors.index.json: 1 of 3 shards are missing" in warning.text
    assert SHARDS[2] in warning.text


def test_shards_without_their_index_are_left_out():
    files = sharded()
    del files["model.safetensors.index.json"]
    found = find(files)
    assert found.models == ()
    assert codes(found) == ["shards.missing"]


def test_an_index_that_is_too_large_to_be_read_names_what_the_first_shard_says():
    found = find(sharded() | {"model.safetensors.index.json": None})
    assert paths(only_model(found).variants[0], "model")[:3] == SHARDS
    assert codes(found) == ["metadata.damaged"]
    assert (
        codes(find(sharded(SHARDS[:2]) | {"model.safetensors.index.json": None}))[0] == "shards.missing"
    )


def test_pickles_are_known_and_are_no_safetensors():
    files = {name: value for name, value in CHAT.items() if name != "model.safetensors"}
    found = find(files | {"pytorch_model.bin": None})
    (variant,) = only_model(found).variants
    assert (variant.format, variant.precision) == ("pytorch", "bf16")
    assert paths(variant, "model")[0] == "pytorch_model.bin"
    assert codes(found) == ["format.pickle"]
    assert "pytorch_model.bin" in found.warnings[0].text


def test_where_there_is_safetensors_pickles_are_passed_over():
    found = find(CHAT | {"pytorch_model.bin": None, "pytorch_model.fp16.bin": None})
    assert [v.format for v in only_model(found).variants] == ["safetensors"]
    assert codes(found) == []


def test_pickles_of_no_known_family_are_pointed_out():
    assert codes(find({"README.md": None, "yolo.pt": None})) == ["family.unknown", "format.pickle"]
