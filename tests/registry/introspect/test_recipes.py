"""The recipes that come with modelhub, each on a listing as it is published."""

import pytest

from modelhub.facts import RepoFile
from modelhub.refs import Digest, RepoPath
from modelhub.registry.introspect import Metadata, headers_wanted, introspect
from modelhub.registry.introspect.base import FROM_RECIPE
from modelhub.registry.introspect.recipes import RecipeSet, built_in, make_recipes
from modelhub.tasks import TASKS

from .build import listing
from .found import codes, only_model, paths, said
from .onnx_repos import find as find_onnx
from .onnx_repos import header as onnx
from .repos import find

T5, CLIP = "models_t5_umt5-xxl-enc-bf16.pth", "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth"
TOKENIZER = dict.fromkeys(["google/umt5-xxl/spiece.model", "google/umt5-xxl/tokenizer.json"])
WAN = {"diffusion_pytorch_model.safetensors": "BF16", T5: None, "Wan2.1_VAE.pth": None, **TOKENIZER}
WHISPER_CT2 = {
    "config.json": {"alignment_heads": [[1, 0]], "lang_ids": [50259], "suppress_ids": [1]},
    "model.bin": None,
    "tokenizer.json": {},
    "vocabulary.txt": None,
}
PIXELS = {"x": (1, 3, "h", "w")}, {"y": (1, 3, "h", "w")}


def models(found):
    return {model.name: (model.task, model.subtask) for model in found.models}


def test_every_one_rests_on_a_public_address_and_names_a_task_that_is_known():
    recipes = built_in().recipes
    assert len({recipe.name for recipe in recipes}) == len(recipes) >= 25
    known = {(task.id, subtask) for task in TASKS for subtask in (task.subtask, None)}
    for recipe in recipes:
        assert recipe.source.address.startswith("https://")
        assert recipe.source.seen.isoformat() == "2026-11-28"
        assert all((model.task, model.subtask) in known for model in recipe.models)


@pytest.mark.parametrize(
    ("files", "config", "task", "parts"),
    [
        (WAN, "t2v", "text-to-video", 4),
        (WAN, "i2v", "image-to-video", 4),
        (WAN | {CLIP: None, "xlm-roberta-large/tokenizer.json": None}, "i2v", "image-to-video", 6),
        (WAN | {CLIP: None}, None, "image-to-video", 5),
        (WAN, None, "text-to-video", 4),
    ],
)
def test_wan_of_any_size(files, config, task, parts):
    more = {"config.json": {"_class_name": "WanModel", "model_type": config}} if config else {}
    found = find(files | more, "Wan2.1-14B")
    model = only_model(found)
    assert (model.task, len(model.variants[0].components)) == (task, parts)
    assert codes(found) == ["layout.original", "format.pickle"]
    assert model.details == {"frame_rate": 16.0}


def test_wan_with_shards_of_which_one_is_missing_is_left_out():
    shards = {f"diffusion_pytorch_model-0000{n}-of-00003.safetensors": "BF16" for n in (1, 2, 3)}
    files = {
        **shards,
        "config.json": {"model_type": "t2v"},
        T5: None,
        "Wan2.1_VAE.pth": None,
        **TOKENIZER,
    }
    (variant,) = only_model(find(files)).variants
    assert paths(variant, "transformer") == [*shards, "config.json"]
    assert variant.parameters == 3000
    del files["diffusion_pytorch_model-00002-of-00003.safetensors"]
    found = find(files)
    assert found.models == ()
    (told,) = [each.text for each in found.warnings if each.code == "recipe.incomplete"]
    assert "of 3 shards of diffusion_pytorch_model there are 2" in told


def test_wan_with_two_experts():
    files = {T5: None, "Wan2.1_VAE.pth": None, **TOKENIZER}
    for expert in ("high", "low"):
        files[f"{expert}_noise_model/config.json"] = {"model_type": "i2v"}
        files[f"{expert}_noise_model/diffusion_pytorch_model-00001-of-00001.safetensors"] = "BF16"
    model = only_model(find(files, "Wan2.2-I2V-A14B"))
    assert (model.name, model.task) == ("wan2.2-i2v-a14b", "image-to-video")
    parts = {part.name: part.folder for part in model.variants[0].components}
    assert parts["transformer"], parts["transformer_2"] == ("high_noise_model", "low_noise_model")


def test_wan_that_makes_both_has_another_vae():
    files = {k: v for k, v in WAN.items() if k != "Wan2.1_VAE.pth"} | {"Wan2.2_VAE.pth": None}
    model = only_model(find(files, "Wan2.2-TI2V-5B"))
    assert (model.task, model.details) == ("text-to-video", {"frame_rate": 24.0})


def test_whisper_for_ctranslate2_is_no_pickle():
    found = find(WHISPER_CT2, "faster-whisper-tiny")
    model = only_model(found)
    assert (model.task, model.architecture) == ("automatic-speech-recognition", "whisper")
    (variant,) = model.variants
    assert (variant.name, variant.format, variant.precision) == ("ctranslate2", "ctranslate2", None)
    assert paths(variant, "tokenizer") == ["tokenizer.json", "vocabulary.txt"]
    assert codes(found) == []
    # It may have been trained further, under another licence.
    assert said(found, "model:faster-whisper-tiny", "license") == {}


def test_whisper_for_ctranslate2_is_known_by_its_configuration_too():
    assert models(find(WHISPER_CT2, "my-speech")) == {
        "my-speech": ("automatic-speech-recognition", None)
    }
    other = WHISPER_CT2 | {"config.json": {"bos_token": "<s>"}}
    assert codes(find(other, "llama-ct2")) == ["family.unknown", "format.pickle"]


def test_each_size_of_whisper_cpp_is_a_model_and_each_quantization_a_variant():
    names = ["tiny", "tiny-q5_1", "tiny-q8_0", "tiny.en", "large-v3-turbo", "large-v3-turbo-q5_0"]
    files = {f"ggml-{name}.bin": None for name in names} | {"ggml-tiny-encoder.mlmodelc.zip": None}
    found = find(files, "whisper.cpp")
    variants = {model.name: [v.name for v in model.variants] for model in found.models}
    assert variants == {
        "tiny": ["fp16", "q8_0", "q5_1"],
        "tiny.en": ["fp16"],
        "large-v3-turbo": ["fp16", "q5_0"],
    }
    assert {v.format for model in found.models for v in model.variants} == {"ggml"}
    assert codes(found) == ["format.archive"]  # encoders for Core ML
    assert said(found, "variant:tiny:q5_1", "precision") == {"q5_1": FROM_RECIPE}


def test_other_ggml_files_are_no_whisper():
    assert find({"ggml-alpaca-7b-q4.bin": None}, "alpaca").models == ()


def test_whisper_of_its_authors_is_known_by_its_hash_wherever_it_is():
    base = Digest("ed3a0b6b1c0edf879ad9b11b1af5a0e6ab5db9205f891f668f8b0e6c6326e34e")
    repo = listing(["weights/base.pt"], "anything")
    files = (RepoFile(path=RepoPath("weights/base.pt"), size=145_262_807, sha256=base),)
    (matched,) = built_in().matching(repo.model_copy(update={"files": files}))
    assert (matched.recipe.name, matched.why) == ("whisper-openai", "sha256: ed3a0b6b1c0e")
    found = introspect(repo.model_copy(update={"files": files}), Metadata())
    assert models(found) == {"base": ("automatic-speech-recognition", None)}
    assert codes(found) == ["format.pickle"]
    assert said(found, "model:base", "license") == {"mit": FROM_RECIPE}
    assert introspect(repo, Metadata()).models == ()


def test_whisper_of_its_authors_is_known_by_its_name_in_a_repository_of_such():
    found = find({"base.pt": None, "readme.txt": None}, "my-whisper")
    assert models(found) == {"base": ("automatic-speech-recognition", None)}
    assert said(found, "model:base", "license") == {}


def test_kokoro_with_its_voices():
    files = {"kokoro-v1_0.pth": None, "config.json": {"n_token": 178}, "voices/af_heart.pt": None}
    found = find(files | {"voices/bf_emma.pt": None}, "Kokoro-82M")
    model = only_model(found)
    assert (model.task, model.details) == ("text-to-speech", {"sampling_rate": 24000})
    assert paths(model.variants[0], "voices") == ["voices/af_heart.pt", "voices/bf_emma.pt"]
    assert codes(found) == ["format.pickle"]


def test_kokoro_in_onnx_gets_its_voices_and_keeps_what_its_graphs_say():
    files = {f"onnx/model{mark}.onnx": onnx(dtype) for mark, dtype in (("", "fp32"), ("_fp16", "fp16"))}
    files |= {"config.json": {"model_type": "style_text_to_speech_2"}, "voices/af.bin": 100}
    found = find_onnx(files, "Kokoro-82M-v1.0-ONNX")
    model = only_model(found)
    assert [variant.name for variant in model.variants] == ["fp32", "fp16"]
    assert all(paths(variant, "voices") == ["voices/af.bin"] for variant in model.variants)
    assert model.details["sampling_rate"] == 24000
    assert "graphs" in model.details
    assert said(found, "model:kokoro-82m-v1.0", "task") == {"text-to-speech": FROM_RECIPE}


def test_kokoro_in_onnx_of_its_other_package():
    found = find_onnx({"kokoro-v1.0.onnx": onnx(), "voices-v1.0.bin": 100}, "kokoro")
    (variant,) = only_model(found).variants
    assert [(p.name, p.format) for p in variant.components] == [("model", "onnx"), ("voices", "npz")]
    assert codes(found) == []


@pytest.mark.parametrize(
    ("file", "factor"),
    [
        ("RealESRGAN_x4plus.pth", 4),
        ("weights/RealESRGAN_x2plus.safetensors", 2),
        ("realesr-general-x4v3.pth", 4),
        ("RealESRGAN_x8.pth", 8),
    ],
)
def test_real_esrgan(file, factor):
    found = find({file: "F32" if file.endswith("safetensors") else None}, "Real-ESRGAN")
    model = only_model(found)
    assert model.name == file.rpartition("/")[2].rpartition(".")[0].lower()
    assert (model.task, model.subtask) == ("image-to-image", "super-resolution")
    assert model.details["scale_factor"] == factor
    pickled = file.endswith("pth")
    assert codes(found) == (["format.pickle"] if pickled else [])
    assert model.variants[0].precision == (None if pickled else "fp32")
    assert model.parameters == (None if pickled else 1000)


def test_one_model_in_two_formats_is_one():
    found = find({"RealESRGAN_x4plus.pth": None, "RealESRGAN_x4plus.safetensors": "F16"}, "upscalers")
    assert [(v.name, v.format) for v in only_model(found).variants] == [
        ("fp16", "safetensors"),
        ("pytorch", "pytorch"),
    ]


def test_rife():
    files = {"rife_v4.26.safetensors": "F16", "train_log/flownet.pkl": None, "rife49.pth": None}
    found = find(files, "frame_interpolation")
    assert models(found) == dict.fromkeys(
        ["rife_v4.26", "rife49", "rife"], ("video-to-video", "frame-interpolation")
    )


def test_rife_in_onnx_each_file_a_model():
    files = {f"rife4{n}_ensemble_True_scale_1_sim.onnx": onnx() for n in (7, 8, 9)}
    found = find_onnx(files, "rife-onnx")
    assert {(m.task, m.subtask) for m in found.models} == {("video-to-video", "frame-interpolation")}
    assert min(m.name for m in found.models) == "rife47_ensemble_true_scale_1_sim"
    assert all(m.details["pad_multiple"] == 32 for m in found.models)
    assert "task.unknown" not in codes(found)
    assert codes(find_onnx({"model.onnx": onnx()}, "RIFE")) == []
    assert codes(find_onnx({"model.onnx": onnx()}, "anything")) == ["task.unknown"]


@pytest.mark.parametrize(
    ("file", "height", "order"),
    [
        ("face_detection_yunet_2023mar.onnx", None, "bgr"),
        ("version-RFB-320.onnx", 240, "rgb"),
        ("models/version-slim-320_simplified.onnx", 240, "rgb"),
        ("version-RFB-640.onnx", 480, "rgb"),
    ],
)
def test_face_detectors(file, height, order):
    found = find_onnx({file: onnx()}, "faces", license="apache-2.0")
    model = only_model(found)
    assert (model.task, model.subtask) == ("object-detection", "face-detection")
    assert (model.details.get("input_height"), model.details["channel_order"]) == (height, order)
    assert codes(found) == ["license.conflict"]


@pytest.mark.parametrize(
    ("file", "task", "decoder"),
    [
        ("yolov8n.onnx", "object-detection", "yolov8"),
        ("onnx/yolo11s.onnx", "object-detection", "yolov8"),
        ("yolov8m-seg.onnx", "image-segmentation", "yolov8_seg"),
        ("yolo11x-pose.onnx", "keypoint-detection", "yolov8_pose"),
        ("yolov5s.onnx", "object-detection", "yolov5"),
        ("yolov10b.onnx", "object-detection", "yolov10"),
        ("yolox_tiny.onnx", "object-detection", "yolox"),
        ("object_detection_yolox_2022nov.onnx", "object-detection", "yolox"),
    ],
)
def test_detectors_whose_metadata_was_lost(file, task, decoder):
    found = find_onnx({file: onnx("fp32", *PIXELS)}, "detector")
    model = only_model(found)
    assert (model.task, model.details["decoder"]) == (task, decoder)
    assert codes(found) == ([] if "yolox" in file else ["license.copyleft"])
    if file == "yolox_tiny.onnx":
        assert (len(model.details["labels"]), model.details["input_width"]) == (80, 416)


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("ch_PP-OCRv4_det_mobile.onnx", "detection"),
        ("onnx/PP-OCRv5/rec/latin_PP-OCRv5_rec_mobile.onnx", "recognition"),
        ("ch_ppocr_mobile_v2.0_cls_infer.onnx", "orientation"),
        ("ch_PP-LCNet_x0_25_textline_ori_cls_mobile.onnx", "orientation"),
    ],
)
def test_rapidocr(file, stage):
    model = only_model(find_onnx({file: onnx("fp32", *PIXELS)}, "RapidOCR"))
    assert (model.task, model.subtask) == ("image-to-text", "ocr")
    assert model.details["stage"] == stage


def test_a_card_that_says_less_is_filled_in():
    files = {"PP-OCRv5_server_det_infer.onnx": onnx()}
    found = find_onnx(files, "ocr", pipeline_tag="image-to-text")
    assert models(found) == {"ocr": ("image-to-text", "ocr")}
    assert said(found, "model:ocr", "task") == {"image-to-text": FROM_RECIPE}


def test_paddles_own_layout():
    files = {"inference.json": {}, "inference.pdiparams": None, "inference.yml": None, "config.json": {}}
    found = find(files, "PP-OCRv5_server_det")
    (variant,) = only_model(found).variants
    assert (variant.format, found.models[0].details) == ("paddle", {"stage": "detection"})
    assert paths(variant, "model") == ["inference.pdiparams", "inference.json"]
    assert paths(variant, "config") == ["inference.yml", "config.json"]


def test_paddles_folders_are_a_model_each():
    files = {
        f"PP-OCRv4_{stage}_infer/inference.{suffix}": None
        for stage in ("det", "rec", "cls")
        for suffix in ("pdmodel", "pdiparams")
    }
    found = find(files, "ocr-models")
    assert {model.name: model.details["stage"] for model in found.models} == {
        "pp-ocrv4_det": "detection",
        "pp-ocrv4_rec": "recognition",
        "pp-ocrv4_cls": "orientation",
    }
    assert {len(v.components[0].files) for m in found.models for v in m.variants} == {2}


def test_structure_outranks_a_recipe_and_both_are_kept():
    yolo = {"task": "segment", "author": "Ultralytics", "license": "MIT License"}
    found = find_onnx({"yolov8n.onnx": onnx(metadata=yolo)}, "detector")
    assert only_model(found).task == "image-segmentation"
    assert "decoder" not in only_model(found).details
    assert said(found, "model:detector", "task") == {
        "image-segmentation": 100,
        "object-detection": FROM_RECIPE,
    }


def test_a_recipe_outranks_the_card():
    found = find_onnx({"yolov8n.onnx": onnx()}, "detector", pipeline_tag="image-classification")
    assert only_model(found).task == "object-detection"
    assert said(found, "model:detector", "task") == {"image-classification": 30, "object-detection": 60}


def test_without_recipes_nothing_is_described_by_them():
    repo = listing(["ggml-tiny.bin"], "whisper.cpp")
    assert introspect(repo, Metadata(), recipes=RecipeSet()).models == ()
    assert headers_wanted(listing(["rife49.safetensors"]), recipes=RecipeSet()) == ()
    assert headers_wanted(listing(["rife49.safetensors"])) == ("rife49.safetensors",)


def recipe(name, **match):
    model = {
        "task": "depth-estimation",
        "architecture": name,
        "components": {"model": "odd.safetensors"},
    }
    source = {"address": "https://example.org/odd", "seen": "2026-11-28"}
    return make_recipes({"name": name, "source": source, "match": [match], "models": [model]}, "test")


def test_the_recipe_that_knows_a_repository_best_describes_it():
    digest = "0" * 64
    found = [
        *recipe("by-files", files=["*.safetensors"]),
        *recipe("by-glob", repositories=["zoo/*"]),
        *recipe("by-name", repositories=["ZOO/Odd"]),
        *recipe("by-hash", sha256=[digest]),
        *recipe("of-another", repositories=["zoo/other"]),
    ]
    odd = listing(["odd.safetensors"], "odd")
    files = (RepoFile(path=RepoPath("odd.safetensors"), size=9, sha256=Digest(digest)),)
    odd = odd.model_copy(update={"files": files})
    matched = RecipeSet(tuple(found)).matching(odd)
    assert [each.recipe.name for each in matched] == ["by-hash", "by-name", "by-glob", "by-files"]
    known = introspect(odd, Metadata(), recipes=RecipeSet(tuple(found)))
    assert only_model(known).architecture == "by-hash"
    assert set(said(known, "model:odd", "architecture")) == {"by-hash", "by-name", "by-glob", "by-files"}


def test_a_digest_is_that_of_what_recipes_say_in_any_order():
    one, two = recipe("one", files=["a"]), recipe("two", files=["b"])
    assert RecipeSet(one + two).digest == RecipeSet(two + one).digest
    assert RecipeSet(one).digest != RecipeSet(one + two).digest
    assert RecipeSet(one).digest != RecipeSet(recipe("one", files=["b"])).digest
