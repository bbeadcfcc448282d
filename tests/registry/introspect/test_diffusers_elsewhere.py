"""Modular indexes, whose parts may be of other repositories; and cards that say diffusers without an index."""

import pytest

from modelhub.registry.introspect import find_families

from .build import listing
from .found import codes, only_model, paths, said
from .pipelines import SMALL, without
from .repos import CHAT, find

OWN = "zoo/Tiny-Chat"


def spec(kind, subfolder, repo=OWN, library="diffusers", **more):
    """A part as `modular_model_index.json` has it."""
    place = {
        "pretrained_model_name_or_path": repo,
        "subfolder": subfolder,
        "variant": None,
        "revision": None,
    }
    return [None, None, {"type_hint": [library, kind], **place, **more}]


MODULAR = without(SMALL, "model_index", "vae") | {
    "modular_model_index.json": {
        "_class_name": "FluxModularPipeline",
        "_blocks_class_name": "FluxAutoBlocks",
        "scheduler": spec("FlowMatchEulerDiscreteScheduler", "scheduler"),
        "transformer": spec("FluxTransformer2DModel", "transformer"),
        "vae": spec("AutoencoderKL", "vae", "other/flux", revision="v2", variant="fp16"),
        "tokenizer": spec("CLIPTokenizer", "tokenizer", "other/flux", "transformers"),
        "guider": None,
        "image_encoder": spec("CLIPVisionModel", None, None, "transformers"),
    }
}


def test_parts_of_the_repository_are_components_and_others_are_told_with_their_place():
    found = find(MODULAR)
    model = only_model(found)
    (variant,) = model.variants
    assert model.task == "text-to-image"
    assert [part.name for part in variant.components] == ["scheduler", "transformer", "pipeline"]
    assert paths(variant, "pipeline") == ["modular_model_index.json"]
    assert codes(found) == ["component.elsewhere", "component.elsewhere"]
    assert "vae" in found.warnings[0].text
    assert "other/flux, folder vae, at v2" in found.warnings[0].text
    assert model.details["components_elsewhere"] == {
        "vae": {
            "repo": "other/flux",
            "subfolder": "vae",
            "revision": "v2",
            "variant": "fp16",
            "library": "diffusers",
            "class": "AutoencoderKL",
        },
        "tokenizer": {
            "repo": "other/flux",
            "subfolder": "tokenizer",
            "library": "transformers",
            "class": "CLIPTokenizer",
        },
    }
    rows = [row for row in found.evidence if row.key == "component_elsewhere"]
    assert [(row.value["component"], row.value["repo"], row.trust) for row in rows] == [
        ("vae", "other/flux", 80),
        ("tokenizer", "other/flux", 80),
    ]


def test_a_pipeline_all_of_whose_parts_are_elsewhere_is_still_known():
    parts = {"transformer": spec("WanTransformer3DModel", "transformer", "other/wan")}
    found = find({"modular_model_index.json": {"_class_name": "WanModularPipeline", **parts}})
    model = only_model(found)
    (variant,) = model.variants
    assert (model.task, variant.precision, [part.name for part in variant.components]) == (
        "text-to-video",
        None,
        ["pipeline"],
    )
    assert codes(found) == ["component.elsewhere"]


def test_a_part_elsewhere_is_no_excuse_for_one_that_lacks_its_weights():
    found = find(without(MODULAR, "transformer/diff"))
    assert found.models == ()
    assert set(codes(found)) == {"component.elsewhere", "weights.missing"}


def test_a_copy_in_a_folder_has_its_own_parts_whatever_name_its_index_has():
    files = {
        **MODULAR["modular_model_index.json"],
        "transformer": spec("FluxTransformer2DModel", "transformer", "other/flux"),
    }
    whole = MODULAR | {"modular_model_index.json": files}
    assert codes(find(whole)).count("component.elsewhere") == 3
    found = find(whole, source="local")
    assert codes(found).count("component.elsewhere") == 2
    assert "transformer" in {part.name for part in only_model(found).variants[0].components}


def test_the_index_may_name_the_variant_of_a_part():
    modular = MODULAR["modular_model_index.json"] | {
        "transformer": spec("FluxTransformer2DModel", "transformer", variant="fp16")
    }
    files = MODULAR | {"transformer/diffusion_pytorch_model.fp16.safetensors": "F16"}
    (variant,) = only_model(find(files | {"modular_model_index.json": modular})).variants
    assert paths(variant, "transformer")[0] == "transformer/diffusion_pytorch_model.fp16.safetensors"


def test_a_part_may_be_at_the_root_or_deep_in_the_repository():
    modular = MODULAR["modular_model_index.json"] | {
        "transformer": spec("FluxTransformer2DModel", "big/one"),
        "vae": spec("AutoencoderKL", ""),
    }
    files = without(MODULAR, "transformer") | {
        "big/one/config.json": {},
        "big/one/diffusion_pytorch_model.safetensors": "BF16",
        "config.json": {},
        "diffusion_pytorch_model.safetensors": "F32",
        "modular_model_index.json": modular,
    }
    found = find(files)
    (variant,) = only_model(found).variants
    assert {part.name: (part.folder, part.precision) for part in variant.components} == {
        "scheduler": ("scheduler", None),
        "transformer": ("big/one", "bf16"),
        "vae": ("", "fp32"),
        "pipeline": ("", None),
    }


def test_of_two_indexes_the_modular_one_adds_what_the_other_lacks():
    modular = {
        "vae": spec("AutoencoderKL", "vae", "other/flux"),
        "unet": spec("X", "unet", "other/flux"),
    }
    found = find(SMALL | {"modular_model_index.json": modular})
    assert codes(found) == ["component.elsewhere"]
    (variant,) = only_model(found).variants
    assert "vae" in {part.name for part in variant.components}
    assert list(only_model(found).details["components_elsewhere"]) == ["unet"]
    assert paths(variant, "pipeline") == ["model_index.json", "modular_model_index.json"]


def test_blocks_of_the_repositorys_own_are_code():
    blocks = {"auto_map": {"ModularPipelineBlocks": "block.MyBlocks"}}
    found = find(MODULAR | {"modular_config.json": blocks, "block.py": None})
    assert "remote_code" in codes(found)
    (variant,) = only_model(found).variants
    assert paths(variant, "code") == ["block.py"]


def test_a_transformers_model_beside_a_modular_index_stays_one():
    files = CHAT | MODULAR
    repo = listing(list(files))
    assert [family.name for family in find_families(repo)] == ["diffusers", "transformers"]
    assert {model.task for model in find(files).models} == {"text-to-image", "text-generation"}


# Cards that say diffusers


ORIGINAL = {
    "config.json": {"_class_name": "WanModel"},
    "diffusion_pytorch_model.safetensors": "F32",
    "vae.pth": None,
}


@pytest.mark.parametrize(
    "facts", [{"library_name": "diffusers"}, {"tags": ("diffusers", "text-to-video")}]
)
def test_a_claim_without_an_index_is_a_contradiction_and_both_sides_are_kept(facts):
    found = find(ORIGINAL, **facts)
    (warning,) = [each for each in found.warnings if each.code == "layout.original"]
    assert warning.text.endswith(
        "says diffusers, but there is no model_index.json: loads only with the original code."
    )
    assert said(found, "repository", "library_name") == {"diffusers": 30}
    assert said(found, "repository", "layout") == {"original": 50}


@pytest.mark.parametrize(
    ("files", "facts"),
    [
        (SMALL, {}),
        (MODULAR, {}),
        ({"pipelines/one/model_index.json": {}, "a.safetensors": None}, {}),
        ({"config.json": {"_class_name": "ControlNetModel"}, "diffusion_pytorch_model.bin": None}, {}),
        ({"config.json": {"_class_name": "AutoencoderKL"}, "diffusion_pytorch_model.bin": None}, {}),
        ({"config.json": {"_class_name": "FluxTransformer2DModel"}}, {}),
        ({"scheduler_config.json": {"_class_name": "LCMScheduler"}}, {}),
        ({"pytorch_lora_weights.safetensors": None}, {}),
        ({"style.safetensors": None}, {"tags": ("diffusers", "lora")}),
        ({"style.safetensors": None}, {"tags": ("base_model:adapter:other/flux",)}),
        ({"adapter_config.json": {}}, {}),
        ({"flux-q8_0.gguf": None}, {}),
        ({"learned_embeds.bin": None}, {}),
    ],
)
def test_what_diffusers_opens_without_an_index_is_none(files, facts):
    claim = {"library_name": "diffusers"} | facts
    assert "layout.original" not in codes(find(files, **claim))


def test_without_a_claim_there_is_no_contradiction():
    assert "layout.original" not in codes(find(ORIGINAL, library_name="transformers"))
