"""Two public repositories of one model: as a diffusers pipeline, and as its authors' own code has it."""

import json
from hashlib import sha256

from modelhub.facts import RepoListing
from modelhub.formats import SafetensorsHeader
from modelhub.formats.safetensors import SafetensorsTensor
from modelhub.registry.introspect import Findings, Metadata, headers_wanted, introspect, metadata_wanted

from .found import codes, only_model, paths, said
from .wan import CONTENT, WAN_DIFFUSERS, WAN_ORIGINAL

TEXT_ENCODER = [f"text_encoder/model-0000{n}-of-00005.safetensors" for n in range(1, 6)]
TRANSFORMER = [f"transformer/diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
INDEXES = {
    "text_encoder/model.safetensors.index.json": TEXT_ENCODER,
    "transformer/diffusion_pytorch_model.safetensors.index.json": TRANSFORMER,
}


def header(size: int) -> SafetensorsHeader:
    """That of a file of FP32 weights, whose data would be as large as the file."""
    count = size // 4
    return SafetensorsHeader((SafetensorsTensor("t", "F32", (count,), 0, 4 * count),), {}, 8)


def find_wan(listing: RepoListing) -> Findings:
    known = {"LICENSE.txt": b"Apache License\nVersion 2.0, January 2004\n"} | CONTENT
    files = {file.path: known.get(file.path, b"{}") for file in metadata_wanted(listing.files)}
    for path, shards in INDEXES.items():
        tensors = {f"t{n}": shard.rpartition("/")[2] for n, shard in enumerate(shards)}
        if path in files:
            files[path] = json.dumps({"weight_map": tensors}).encode()
    headers = {path: header(listing.by_path[path].size) for path in headers_wanted(listing)}
    return introspect(listing, Metadata(files=files, headers=headers))


def test_the_rebuilt_files_are_those_of_the_repositories():
    for path, content in CONTENT.items():
        listed = (WAN_ORIGINAL if path == "config.json" else WAN_DIFFUSERS).by_path[path]
        assert (len(content), sha256(content).hexdigest()) == (listed.size, listed.sha256), path


def test_every_small_file_and_every_header_is_wanted_and_nothing_else():
    wanted = {file.path for file in metadata_wanted(WAN_DIFFUSERS.files)}
    assert set(CONTENT) - {"config.json"} <= wanted
    assert set(INDEXES) <= wanted
    assert not [path for path in wanted if path.endswith((".safetensors", ".model", "/tokenizer.json"))]
    assert sum(file.size for file in metadata_wanted(WAN_DIFFUSERS.files)) == 167_803
    weights = {*TEXT_ENCODER, *TRANSFORMER, "vae/diffusion_pytorch_model.safetensors"}
    assert set(headers_wanted(WAN_DIFFUSERS)) == weights


def test_the_diffusers_layout_is_one_pipeline_of_five_parts():
    found = find_wan(WAN_DIFFUSERS)
    model = only_model(found)
    assert codes(found) == []
    assert (model.name, model.task, model.category, model.architecture) == (
        "wan2.1-t2v-1.3b-diffusers",
        "text-to-video",
        "video",
        "WanTransformer3DModel",
    )
    (variant,) = model.variants
    assert (variant.name, variant.format, variant.precision) == ("fp32", "safetensors", "fp32")
    parts = {part.name: part for part in variant.components}
    assert {name: part.bytes for name, part in parts.items()} == {
        "scheduler": 751,
        "text_encoder": 22_723_671_744 + 854 + 22_476,
        "tokenizer": 4_548_313 + 16_837_459 + 61_758 + 7_079,
        "transformer": 5_676_070_648 + 465 + 73_296,
        "vae": 507_591_892 + 724,
        "pipeline": 400,
    }
    assert {name: part.precision for name, part in parts.items() if part.precision} == {
        "text_encoder": "fp32",
        "transformer": "fp32",
        "vae": "fp32",
    }
    assert paths(variant, "text_encoder")[:5] == TEXT_ENCODER
    assert model.details["components"]["text_encoder"]["class"] == "UMT5EncoderModel"


def test_all_nineteen_files_of_the_pipeline_are_in_it_once():
    (variant,) = only_model(find_wan(WAN_DIFFUSERS)).variants
    files = [file for _, file in variant.files()]
    assert sorted(file.path for file in files) == sorted(file.path for file in WAN_DIFFUSERS.files)
    assert (len(files), variant.bytes) == (19, 28_928_887_859)
    assert all(file.sha256 for file in files)


def test_what_a_second_pipeline_of_the_family_has_in_common():
    (variant,) = only_model(find_wan(WAN_DIFFUSERS)).variants
    parts = {part.name: part for part in variant.components}
    shared = [
        f
        for name in ("text_encoder", "vae")
        for f in parts[name].files
        if f.path.suffix == ".safetensors"
    ]
    assert sum(file.size for file in shared) == 23_231_263_636
    assert parts["vae"].files[0].sha256.startswith("d6e524b3")


def test_the_original_layout_is_told_apart_from_what_its_card_says():
    found = find_wan(WAN_ORIGINAL)
    assert codes(found) == ["layout.original", "format.pickle"]
    assert found.warnings[0].text == (
        "card says diffusers, but there is no model_index.json: loads only with the original code."
    )
    assert said(found, "repository", "library_name") == {"diffusers": 30}
    assert said(found, "repository", "layout") == {"original": 50}


def test_the_original_layout_is_a_pipeline_too_as_a_recipe_knows_it():
    found = find_wan(WAN_ORIGINAL)
    model = only_model(found)
    assert (model.name, model.task, model.architecture) == (
        "wan2.1-t2v-1.3b",
        "text-to-video",
        "WanModel",
    )
    (variant,) = model.variants
    assert (variant.name, variant.format, variant.precision) == ("fp32", "safetensors", "fp32")
    assert {part.name: (part.format, part.precision, part.bytes) for part in variant.components} == {
        "transformer": ("safetensors", "fp32", 5_676_070_424 + 249),
        "text_encoder": ("pytorch", "bf16", 11_361_920_418),
        "vae": ("pytorch", "fp32", 507_609_880),
        "tokenizer": (None, None, 6_623 + 4_548_313 + 16_837_417 + 61_728),
    }
    assert paths(variant, "transformer") == ["diffusion_pytorch_model.safetensors", "config.json"]
    assert said(found, "variant:wan2.1-t2v-1.3b:fp32", "precision") == {"fp32": 100}
    assert said(found, "variant:wan2.1-t2v-1.3b:fp32:text_encoder", "precision") == {"bf16": 60}
    assert said(found, "model:wan2.1-t2v-1.3b", "task") == {"text-to-video": 60}
    weights = [file for _, file in variant.files() if file.path.suffix in (".pth", ".safetensors")]
    assert sum(file.size for file in weights) == 17_545_600_722
    assert sum(file.size for file in weights if file.path.suffix == ".pth") == 11_869_530_298


def test_of_the_two_layouts_only_the_vocabulary_is_the_same_file():
    both = {file.sha256 for file in WAN_DIFFUSERS.files} & {file.sha256 for file in WAN_ORIGINAL.files}
    assert [file.path for file in WAN_DIFFUSERS.files if file.sha256 in both] == [
        "tokenizer/spiece.model"
    ]
