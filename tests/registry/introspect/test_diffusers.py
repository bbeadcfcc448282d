"""Pipelines of several models: their components, tasks, precisions, and what is told of them."""

import pytest

from modelhub.registry.introspect import find_families, headers_wanted

from .build import listing
from .found import codes, only_model, paths, said
from .pipelines import SDXL, SMALL, index, without
from .repos import CHAT, find, header


def test_a_pipeline_is_one_model_and_each_of_its_parts_a_component():
    found = find(SDXL, "Tiny-XL")
    model = only_model(found)
    assert codes(found) == []
    assert (model.name, model.task, model.subtask, model.category) == (
        "tiny-xl",
        "text-to-image",
        None,
        "image",
    )
    assert (model.architecture, model.parameters) == ("UNet2DConditionModel", 1000)
    for variant in model.variants:
        folders = {part.name: part.folder for part in variant.components}
        assert folders == {
            "scheduler": "scheduler",
            "text_encoder": "text_encoder",
            "text_encoder_2": "text_encoder_2",
            "tokenizer": "tokenizer",
            "tokenizer_2": "tokenizer_2",
            "unet": "unet",
            "vae": "vae",
            "pipeline": "",
        }
        assert paths(variant, "pipeline") == ["model_index.json"]
        assert paths(variant, "scheduler") == ["scheduler/scheduler_config.json"]
        assert paths(variant, "tokenizer") == [
            "tokenizer/merges.txt",
            "tokenizer/special_tokens_map.json",
            "tokenizer/tokenizer_config.json",
            "tokenizer/vocab.json",
        ]


def test_each_component_has_its_own_precision_parameters_and_bytes():
    files = SMALL | {
        "transformer/diffusion_pytorch_model.safetensors": header("BF16", 5000, F32=10),
        "vae/diffusion_pytorch_model.safetensors": header("F32", 300),
    }
    found = find(files)
    (variant,) = only_model(found).variants
    assert (variant.name, variant.format, variant.precision, variant.parameters) == (
        "bf16",
        "safetensors",
        "bf16",
        5010,
    )
    parts = {part.name: part for part in variant.components}
    assert (parts["transformer"].precision, parts["transformer"].parameters) == ("bf16", 5010)
    assert (parts["vae"].format, parts["vae"].precision, parts["vae"].parameters) == (
        "safetensors",
        "fp32",
        300,
    )
    assert (parts["scheduler"].format, parts["scheduler"].precision) == (None, None)
    assert variant.bytes == sum(len(path) for path in files)
    assert said(found, "variant:tiny-chat:bf16", "precision") == {"bf16": 100}
    assert said(found, "component:tiny-chat:bf16:vae", "precision") == {"fp32": 100}
    assert said(found, "component:tiny-chat:bf16:vae", "parameters") == {300: 100}


def test_the_details_list_the_parts():
    details = only_model(find(SMALL)).details
    assert details == {
        "pipeline_class": "FluxPipeline",
        "components": {
            "scheduler": {"library": "diffusers", "class": "FlowMatchEulerDiscreteScheduler"},
            "transformer": {
                "library": "diffusers",
                "class": "FluxTransformer2DModel",
                "precision": "bf16",
                "parameters": 1000,
            },
            "vae": {
                "library": "diffusers",
                "class": "AutoencoderKL",
                "precision": "fp32",
                "parameters": 1000,
            },
        },
    }
    assert only_model(find(SDXL)).details["diffusers_version"] == "0.19.0.dev0"


def test_two_denoisers_count_together():
    second = {path.replace("transformer/", "transformer_2/"): value for path, value in SMALL.items()}
    both = index(transformer_2=["diffusers", "WanTransformer3DModel"])
    model = only_model(find(second | SMALL | both))
    assert model.parameters == 2000


@pytest.mark.parametrize(
    ("name", "kind", "precision"),
    [
        ("prior", "PriorTransformer", "bf16"),
        ("decoder", "StableCascadeUNet", "bf16"),
        ("big", "Something", "bf16"),
    ],
)
def test_what_denoises_under_another_name_is_known_by_its_class_and_else_by_its_size(
    name, kind, precision
):
    files = {path.replace("transformer/", f"{name}/"): value for path, value in SMALL.items()}
    repo = files | index(transformer=None, **{name: ["diffusers", kind]})
    weights = f"{name}/diffusion_pytorch_model.safetensors"
    sizes = {path: len(path) for path in repo} | {weights: 10_000}
    found = find(repo, sizes=sizes)
    assert only_model(found).variants[0].precision == precision


def test_precision_without_a_header_is_that_of_the_name_and_else_of_the_config():
    files = {
        path: None if path.endswith(".safetensors") else value
        for path, value in without(SDXL, "unet/diffusion_pytorch_model.safetensors").items()
    }
    found = find(files)
    (variant,) = only_model(found).variants
    parts = {part.name: part for part in variant.components}
    assert (variant.name, parts["text_encoder"].precision) == ("fp16", "fp16")
    assert said(found, "variant:tiny-chat:fp16", "precision") == {"fp16": 50}
    plain = find(
        without(files | {"unet/diffusion_pytorch_model.safetensors": None}, "text_encoder/model.fp16")
    )
    assert said(plain, "component:tiny-chat:safetensors:text_encoder", "precision") == {"fp16": 80}


def test_quantised_weights_have_the_precision_that_their_config_says():
    packed = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    files = SMALL | {
        "transformer/config.json": packed,
        "transformer/diffusion_pytorch_model.safetensors": header("U8", BF16=10),
    }
    (variant,) = only_model(find(files)).variants
    assert (variant.name, variant.parameters) == ("int4", None)


def test_a_part_that_is_left_out_is_no_component():
    for absent in ([None, None], None, True, 0.5, [2, 5, 8], []):
        (variant,) = only_model(find(SMALL | index(image_encoder=absent))).variants
        assert "image_encoder" not in {part.name for part in variant.components}


def test_a_part_without_weights_has_all_files_of_its_folder_but_code_and_weights():
    files = SMALL | index(feature_extractor=["transformers", "CLIPImageProcessor"])
    more = ["preprocessor_config.json", "deep/er.txt", "run.py", "old.bin"]
    found = find(files | {f"feature_extractor/{name}": None for name in more})
    (variant,) = only_model(found).variants
    assert paths(variant, "feature_extractor") == [
        "feature_extractor/preprocessor_config.json",
        "feature_extractor/deep/er.txt",
    ]


def test_a_safety_checker_of_the_pipelines_own_module_has_weights_as_transformers_names_them():
    files = SMALL | index(safety_checker=["stable_diffusion", "StableDiffusionSafetyChecker"])
    more = {"safety_checker/config.json": {}, "safety_checker/model.safetensors": "F32"}
    (variant,) = only_model(find(files | more)).variants
    assert paths(variant, "safety_checker") == list(more)[::-1]


def test_parts_without_a_folder_are_at_the_root():
    files = {
        "model_index.json": {
            "_class_name": "FluxPipeline",
            "transformer": ["transformers", "SomethingModel"],
            "scheduler": ["diffusers", "DDIMScheduler"],
            "tokenizer": ["transformers", "AutoTokenizer"],
            "processor": ["transformers", "CLIPImageProcessor"],
        },
        "config.json": {"architectures": ["SomethingModel"]},
        "generation_config.json": {},
        "model.safetensors": "BF16",
        "scheduler_config.json": {},
        "tokenizer.json": {},
        "preprocessor_config.json": {},
    }
    found = find(files)
    (variant,) = only_model(found).variants
    assert codes(found) == []
    assert {part.name: [f.path for f in part.files] for part in variant.components} == {
        "transformer": ["model.safetensors", "config.json", "generation_config.json"],
        "scheduler": ["scheduler_config.json"],
        "tokenizer": ["tokenizer.json"],
        "processor": ["preprocessor_config.json"],
        "pipeline": ["model_index.json"],
    }


def test_a_pipelines_folders_are_no_models_of_their_own():
    repo = listing([*SDXL, "config.json", "model.safetensors"])
    assert [family.name for family in find_families(repo)] == ["diffusers"]
    assert [family.name for family in find_families(listing(list(CHAT)))] == ["transformers"]


def test_whole_models_in_one_file_are_pointed_out_and_are_no_component():
    found = find(SDXL | {"sd_xl_base_1.0.safetensors": "F16", "v1.ckpt": None, "sd_xl.md": None})
    assert codes(found) == ["weights.beside"]
    assert "sd_xl_base_1.0.safetensors, v1.ckpt" in found.warnings[0].text
    assert said(found, "file:sd_xl_base_1.0.safetensors", "role") == {"single-file checkpoint": 50}
    for variant in only_model(found).variants:
        assert all(file.path.folder or file.path == "model_index.json" for _, file in variant.files())


def test_gguf_files_beside_are_models_as_they_always_are():
    repo = listing([*SMALL, "flux-q8_0.gguf"])
    assert [family.name for family in find_families(repo)] == ["diffusers", "gguf"]
    assert "weights.beside" not in codes(find(SMALL | {"flux-q8_0.gguf": None}))


# Tasks


@pytest.mark.parametrize(
    ("kind", "task", "subtask"),
    [
        ("StableDiffusionPipeline", "text-to-image", None),
        ("StableDiffusion3Pipeline", "text-to-image", None),
        ("StableDiffusionXLControlNetPipeline", "text-to-image", None),
        ("Flux2KleinPipeline", "text-to-image", None),
        ("QwenImagePipeline", "text-to-image", None),
        ("ZImagePipeline", "text-to-image", None),
        ("PixArtSigmaPipeline", "text-to-image", None),
        ("StableDiffusionXLImg2ImgPipeline", "image-to-image", None),
        ("FluxKontextPipeline", "image-to-image", None),
        ("QwenImageEditPlusPipeline", "image-to-image", None),
        ("StableDiffusionInstructPix2PixPipeline", "image-to-image", None),
        ("StableDiffusionInpaintPipeline", "image-to-image", "image-inpainting"),
        ("FluxFillPipeline", "image-to-image", "image-inpainting"),
        ("StableDiffusionUpscalePipeline", "image-to-image", "super-resolution"),
        ("StableDiffusionLatentUpscalePipeline", "image-to-image", "super-resolution"),
        ("WanPipeline", "text-to-video", None),
        ("LTXPipeline", "text-to-video", None),
        ("HunyuanVideo15Pipeline", "text-to-video", None),
        ("CogVideoXPipeline", "text-to-video", None),
        ("TextToVideoSDPipeline", "text-to-video", None),
        ("WanImageToVideoPipeline", "image-to-video", None),
        ("StableVideoDiffusionPipeline", "image-to-video", None),
        ("WanVideoToVideoPipeline", "video-to-video", None),
        ("StableAudioPipeline", "text-to-speech", None),
        ("MarigoldDepthPipeline", "depth-estimation", None),
        ("StableDiffusionModelEditingPipeline", "text-to-image", None),
        ("SomebodysImageToVideoPipeline", "image-to-video", None),
    ],
)
def test_the_task_is_that_of_the_class_whatever_the_card_says(kind, task, subtask):
    found = find(SMALL | index(_class_name=kind), pipeline_tag="object-detection")
    model = only_model(found)
    assert (model.task, model.subtask) == (task, subtask)
    assert said(found, "model:tiny-chat", "task") == {task: 80}


@pytest.mark.parametrize("kind", ["SomebodysPipeline", "DDPMPipeline", "FluxPriorReduxPipeline", None])
def test_a_class_in_no_table_does_what_the_card_says(kind):
    found = find(SMALL | index(_class_name=kind), pipeline_tag="text-to-image")
    assert only_model(found).task == "text-to-image"
    assert said(found, "model:tiny-chat", "task") == {"text-to-image": 30}


def test_where_nothing_names_the_task_evidence_says_what_was_missing():
    found = find(SMALL | index(_class_name="SomebodysPipeline"), pipeline_tag="no-such-task")
    assert found.models == ()
    assert codes(found) == ["task.unknown"]
    assert said(found, "model:tiny-chat", "task") == {None: 80}
    (row,) = [row for row in found.evidence if row.key == "task"]
    assert "SomebodysPipeline" in row.evidence


# Code


def test_a_pipelines_own_code_is_a_component():
    files = SMALL | index(_class_name=["pipeline", "SomebodysFluxPipeline"])
    found = find(files | {"pipeline.py": None, "more.py": None}, pipeline_tag="text-to-image")
    (variant,) = only_model(found).variants
    assert codes(found) == ["remote_code"]
    assert "(pipeline.py)" in found.warnings[0].text
    assert paths(variant, "code") == ["pipeline.py", "more.py"]
    assert only_model(found).details["pipeline_class"] == "SomebodysFluxPipeline"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (
            index(transformer=["my_unet", "MyUNet"]) | {"transformer/my_unet.py": None},
            "transformer/my_unet.py",
        ),
        ({"transformer/diffusers.py": None}, "transformer/diffusers.py"),
        (
            {"vae/config.json": {"auto_map": {"AutoModel": "model_x.X"}}, "vae/model_x.py": None},
            "vae/model_x.py",
        ),
        (
            {"vae/config.json": {"auto_map": {"AutoModel": "model_x.X"}}},
            "vae/model_x.py, which is missing",
        ),
    ],
)
def test_code_of_a_part_is_pointed_out(files, names):
    found = find(SMALL | files)
    assert codes(found) == ["remote_code"]
    assert f"({names})" in found.warnings[0].text
    (variant,) = only_model(found).variants
    here = [path for path in files if path.endswith(".py")]
    if here:
        assert paths(variant, "code") == here


def test_code_that_is_in_no_file_of_the_repository_cannot_be_allowed():
    files = SMALL | index(_class_name=["clip_guided", "ClipGuidedPipeline"])
    found = find(
        files | {"vae/config.json": {"auto_map": {"AutoModel": "other/repo--x.X"}}},
        pipeline_tag="text-to-image",
    )
    assert codes(found) == ["remote_code.elsewhere"]
    assert only_model(found).details["code_elsewhere"] == ["clip_guided", "other/repo"]


def test_without_a_claim_code_is_no_component():
    (variant,) = only_model(find(SMALL | {"pipeline.py": None, "vae/x.py": None})).variants
    assert "code" not in {part.name for part in variant.components}


# Headers


def test_headers_of_all_parts_are_wanted_and_never_hundreds():
    assert set(headers_wanted(listing(list(SDXL)))) == {p for p in SDXL if p.endswith(".safetensors")}
    shards = [f"diffusion_pytorch_model-{n:05}-of-00070.safetensors" for n in range(1, 71)]
    more = [f"model-{n:05}-of-00050.safetensors" for n in range(1, 51)]
    twelve = [f"diffusion_pytorch_model-{n:05}-of-00012.safetensors" for n in range(1, 13)]
    files = [
        *[f"transformer/{name}" for name in twelve],
        *[f"transformer_2/{name}" for name in shards],
        *[f"text_encoder/{name}" for name in more],
        *[f"text_encoder_2/{name}" for name in more],
    ]
    wanted = headers_wanted(listing(["model_index.json", *files]))
    assert len(wanted) <= 64
    assert set(files[:12]) <= set(wanted)
    assert {f"transformer_2/{shards[0]}", f"text_encoder_2/{more[0]}"} <= set(wanted)
    many = [f"part_{n}/model.safetensors" for n in range(300)]
    assert len(headers_wanted(listing(["model_index.json", *many]))) == 64


def test_of_very_many_shards_the_first_tells_the_precision_and_none_are_counted():
    shards = [f"transformer/diffusion_pytorch_model-{n:05}-of-00100.safetensors" for n in range(1, 101)]
    names = {f"t{n}": path.rpartition("/")[2] for n, path in enumerate(shards)}
    files = without(SMALL, "transformer/diffusion") | dict.fromkeys(shards, "BF16")
    found = find(
        files | {"transformer/diffusion_pytorch_model.safetensors.index.json": {"weight_map": names}}
    )
    (variant,) = only_model(found).variants
    assert (variant.name, variant.parameters) == ("bf16", None)
    assert codes(found) == []
