"""ONNX repositories as they are published: their models, variants and parts."""

import pytest

from modelhub.registry.introspect import headers_wanted

from .build import listing
from .found import codes, only_model, paths, said
from .onnx_repos import (
    CACHE,
    DEPTH,
    IMAGE,
    QWEN,
    SUFFIXES,
    TOKENIZER,
    TOKENS,
    YOLO,
    YUNET,
    find,
    header,
)
from .repos import BERT, CHAT, EMBEDDER

MEGABYTE = 1 << 20


def graphs(*parts: str, suffixes=SUFFIXES, size: int = MEGABYTE) -> dict[str, int]:
    """Files as transformers.js lays them out."""
    return {f"onnx/{part}{suffix}.onnx": size for part in parts for suffix in suffixes}


def names(found) -> list[tuple[str, str | None]]:
    return [(variant.name, variant.precision) for variant in only_model(found).variants]


def test_each_precision_is_a_variant():
    depth = header("fp32", IMAGE, {"predicted_depth": ("batch_size", "height", "width")})
    found = find(DEPTH | graphs("model") | {"onnx/model.onnx": depth}, "depth-anything-v2-small")
    model = only_model(found)
    assert codes(found) == []
    assert (model.name, model.task, model.category) == (
        "depth-anything-v2-small",
        "depth-estimation",
        "vision",
    )
    assert (model.architecture, model.parameters) == ("depth_anything", 1000)
    assert names(found) == [
        ("fp32", "fp32"),
        ("fp16", "fp16"),
        ("int8", "int8"),
        ("onnx-uint8", "int8"),
        ("quantized", "int8"),
        ("bnb4", "int4"),
        ("q4", "int4"),
        ("q4f16", "int4"),
    ]
    plain = model.variants[0]
    assert (plain.format, plain.parameters) == ("onnx", 1000)
    assert paths(plain, "model") == ["onnx/model.onnx"]
    assert paths(plain, "config") == ["config.json"]
    assert paths(plain, "processor") == ["preprocessor_config.json"]
    assert {part.folder for part in plain.components} == {"onnx", ""}
    assert said(found, "model:depth-anything-v2-small", "task") == {"depth-estimation": 100}
    assert said(found, "variant:depth-anything-v2-small:fp32", "precision") == {"fp32": 100}
    assert said(found, "variant:depth-anything-v2-small:q4", "precision") == {"int4": 50}


def test_what_graphs_take_and_give_is_in_the_details():
    depth = header("fp32", IMAGE, {"predicted_depth": (1, None, 518)})
    details = only_model(find(DEPTH | {"onnx/model.onnx": depth})).details
    assert details == {
        "graphs": {
            "model": {
                "inputs": [
                    {
                        "name": "pixel_values",
                        "dtype": "float32",
                        "shape": ["batch_size", 3, "height", "width"],
                    }
                ],
                "outputs": [{"name": "predicted_depth", "dtype": "float32", "shape": [1, None, 518]}],
            }
        },
        "opsets": {"ai.onnx": 17, "com.microsoft": 1},
    }


def test_a_chat_model_with_weights_in_other_files():
    takes, gives = TOKENS | CACHE, {"logits": ("batch_size", "sequence_length", 2000)}
    files = {
        "config.json": QWEN,
        "generation_config.json": {},
        **TOKENIZER,
        "onnx/model.onnx": header("fp32", takes, gives, external={"model.onnx_data": 4000}),
        "onnx/model.onnx_data": 4000,
        "onnx/model_fp16.onnx": MEGABYTE,
        "onnx/model_fp16.onnx_data": 2000,
        "onnx/model_q4.onnx": header("int4", takes, gives, external={"weights.bin": 500}),
        "onnx/weights.bin": 500,
        "onnx/model_q4f16.onnx": 2 * MEGABYTE,
        "onnx/model_q4f16.onnx_data": 300,
        "onnx/model_q4f16.onnx_data_1": 300,
    }
    found = find(files, "Qwen2.5-0.5B-Instruct")
    model = only_model(found)
    assert codes(found) == []
    assert (model.task, model.architecture, model.context_length) == ("text-generation", "qwen2", 2048)
    assert (model.details["kv_heads"], model.details["chat_template"]) == (2, "{{ messages }}")
    assert (model.parameters, model.variants[-1].parameters) == (2000, 2000)
    by_name = {variant.name: variant for variant in model.variants}
    assert paths(by_name["fp32"], "model") == ["onnx/model.onnx", "onnx/model.onnx_data"]
    assert paths(by_name["fp16"], "model") == ["onnx/model_fp16.onnx", "onnx/model_fp16.onnx_data"]
    assert paths(by_name["q4"], "model") == ["onnx/model_q4.onnx", "onnx/weights.bin"]
    assert paths(by_name["q4f16"], "model") == [
        "onnx/model_q4f16.onnx",
        "onnx/model_q4f16.onnx_data",
        "onnx/model_q4f16.onnx_data_1",
    ]
    assert paths(by_name["q4"], "tokenizer") == ["tokenizer.json", "tokenizer_config.json"]
    assert paths(by_name["q4"], "config") == ["config.json", "generation_config.json"]
    assert said(found, "variant:Qwen2.5-0.5B-Instruct".lower() + ":q4", "precision") == {"int4": 100}


def test_several_graphs_are_parts_of_one_model():
    files = {"config.json": {"model_type": "whisper"}, **TOKENIZER}
    files |= graphs("encoder_model", "decoder_model", "decoder_with_past_model", "decoder_model_merged")
    found = find(files, "whisper-tiny")
    model = only_model(found)
    assert (model.task, model.category) == ("automatic-speech-recognition", "audio")
    assert len(model.variants) == len(SUFFIXES)
    q4 = next(variant for variant in model.variants if variant.name == "q4")
    parts = {part.name: [file.path for file in part.files] for part in q4.components}
    assert parts == {
        "decoder_model_merged": ["onnx/decoder_model_merged_q4.onnx"],
        "encoder_model": ["onnx/encoder_model_q4.onnx"],
        "config": ["config.json"],
        "tokenizer": ["tokenizer.json", "tokenizer_config.json"],
    }
    assert [part.precision for part in q4.components] == ["int4", "int4", None, None]


def test_two_decoders_that_are_not_merged_are_both_parts():
    files = graphs("encoder_model", "decoder_model", "decoder_with_past_model", suffixes=("",))
    found = find({"config.json": {"model_type": "whisper"}} | files)
    assert [part.name for part in only_model(found).variants[0].components] == [
        "decoder_model",
        "decoder_with_past_model",
        "encoder_model",
        "config",
    ]


def test_a_part_that_lacks_a_precision_is_lent_from_another():
    files = {"config.json": QWEN} | graphs("embed_tokens", "vision_encoder", suffixes=("", "_fp16"))
    files |= graphs("decoder_model_merged", suffixes=("_fp16", "_q4"))
    found = find(files, "tiny-vlm")
    assert names(found) == [("fp16", "fp16"), ("q4", "int4")]
    q4 = only_model(found).variants[1]
    assert paths(q4, "vision_encoder") == ["onnx/vision_encoder.onnx"]
    assert said(found, "variant:tiny-vlm:q4", "lent") == {}
    assert said(found, "variant:tiny-vlm:q4:vision_encoder", "lent") == {"onnx/vision_encoder.onnx": 50}


def test_halves_of_a_whole_are_no_parts_of_it():
    files = graphs("model", "text_model", "vision_model", suffixes=("", "_quantized"))
    found = find(files, "clip", pipeline_tag="feature-extraction")
    for variant in only_model(found).variants:
        assert [part.name for part in variant.components] == ["model"]


def test_a_face_detector_and_its_quantized_sister():
    # opencv/face_detection_yunet: no configuration, no pipeline tag.
    faces = header("fp32", {"input": (1, 3, 640, 640)}, YUNET)
    files = {
        "README.md": None,
        "LICENSE": None,
        "face_detection_yunet_2023mar.onnx": faces,
        "face_detection_yunet_2023mar_int8.onnx": header("int8", {"input": (1, 3, 640, 640)}, YUNET),
        "face_detection_yunet_2023mar_int8bq.onnx": MEGABYTE,
    }
    found = find(files, "face_detection_yunet", license="mit")
    model = only_model(found)
    assert codes(found) == []
    assert (model.name, model.task, model.subtask) == (
        "face_detection_yunet",
        "object-detection",
        "face-detection",
    )
    assert names(found) == [("fp32", "fp32"), ("int8", "int8"), ("int8bq", "int8")]
    assert said(found, "variant:face_detection_yunet:int8", "precision") == {"int8": 100}


def test_a_yolo_export_says_its_task_and_its_licence():
    yolo = header("fp32", {"images": (1, 3, 640, 640)}, {"output0": (1, 84, 8400)}, metadata=YOLO)
    found = find({"yolo11n.onnx": yolo}, "yolo11n")
    assert (only_model(found).task, only_model(found).subtask) == ("object-detection", None)
    assert said(found, "model:yolo11n", "license") == {"AGPL-3.0": 100, "agpl-3.0": 60}
    assert codes(found) == ["license.copyleft"]
    same = find({"yolo11n.onnx": yolo}, "yolo11n", license="agpl-3.0")
    assert codes(same) == ["license.copyleft"]
    other = find({"yolo11n.onnx": yolo}, "yolo11n", license="mit")
    assert "license.conflict" in codes(other)


@pytest.mark.parametrize(
    ("task", "wanted"),
    [("segment", "image-segmentation"), ("pose", "keypoint-detection"), ("obb", "object-detection")],
)
def test_other_yolo_exports(task, wanted):
    yolo = header(metadata=YOLO | {"task": task})
    assert only_model(find({"yolo11n.onnx": yolo})).task == wanted


def test_unrelated_graphs_are_models_by_their_names():
    boxes = {"pixel_values": (1, 3, 8, 8)}, {"logits": (1, 100, 92), "pred_boxes": (1, 100, 4)}
    files = {
        "detectors/tiny.onnx": header("fp32", *boxes),
        "detectors/tiny_fp16.onnx": header("fp16", *boxes),
        "faces/tiny.onnx": header("fp32", {"input": (1, 3, 8, 8)}, YUNET),
        "config.json": QWEN,
        **TOKENIZER,
    }
    found = find(files, "zoo")
    assert [(model.name, model.subtask, len(model.variants)) for model in found.models] == [
        ("tiny", None, 2),
        ("faces-tiny", "face-detection", 1),
    ]
    # Nothing says whose the small files are.
    assert {part.name for m in found.models for v in m.variants for part in v.components} == {"model"}


def test_precisions_in_folders():
    # onnxruntime-genai: a folder for each machine and way of rounding, each with a tokenizer.
    folders = ["cpu_and_mobile/cpu-int4-rtn-block-32", "cuda/cuda-int4-rtn-block-32", "cuda/cuda-fp16"]
    files = {"config.json": QWEN}
    for folder in folders:
        files |= {
            f"{folder}/model.onnx": MEGABYTE,
            f"{folder}/model.onnx.data": 3 * MEGABYTE,
            f"{folder}/genai_config.json": {},
            f"{folder}/tokenizer.json": {},
        }
    found = find(files, "Phi-3-mini-4k-instruct-onnx", pipeline_tag="text-generation")
    assert only_model(found).name == "phi-3-mini-4k-instruct"
    assert names(found) == [
        ("cuda-fp16", "fp16"),
        ("cpu-int4-rtn-block-32", "int4"),
        ("cuda-int4-rtn-block-32", "int4"),
    ]
    cuda = only_model(found).variants[2]
    assert paths(cuda, "model") == [f"{folders[1]}/model.onnx", f"{folders[1]}/model.onnx.data"]
    assert paths(cuda, "tokenizer") == [f"{folders[1]}/tokenizer.json"]


def test_graphs_beside_other_weights_are_further_variants():
    takes, gives = TOKENS | CACHE, {"logits": ("batch_size", "sequence_length", 2000)}
    plain = header("fp32", takes, gives)
    found = find(
        CHAT | {"model.safetensors": 2000, "onnx/model.onnx": plain, "onnx/model_q4.onnx": MEGABYTE},
        "Tiny-Chat",
    )
    assert [(v.name, v.format) for v in only_model(found).variants] == [
        ("fp32", "onnx"),
        ("bf16", "safetensors"),
        ("q4", "onnx"),
    ]
    assert only_model(found).details["graphs"]["model"]["inputs"][0]["name"] == "input_ids"


def test_a_sentence_embedder_with_optimised_graphs():
    suffixes = ("", "_O3", "_qint8_avx512_vnni", "_quint8_avx2")
    files = EMBEDDER | {"model.safetensors": 2000} | graphs("model", suffixes=suffixes)
    tokens = {"input_ids": ("b", "s"), "attention_mask": ("b", "s"), "token_type_ids": ("b", "s")}
    files["onnx/model.onnx"] = header("fp32", tokens, {"last_hidden_state": ("b", "s", 32)})
    found = find(files, "Tiny-Encoder")
    model = only_model(found)
    assert codes(found) == []
    assert (model.task, model.details["pooling"]) == ("feature-extraction", "mean")
    assert [v.name for v in model.variants if v.format == "onnx"] == [
        "fp32",
        "qint8_avx512_vnni",
        "quint8_avx2",
        "o3",
    ]
    alone = find(
        {path: held for path, held in files.items() if path != "model.safetensors"}, "Tiny-Encoder"
    )
    assert only_model(alone).details["pooling"] == "mean"
    assert only_model(alone).details["dimensions"] == BERT["hidden_size"]
    assert codes(alone) == []


def test_a_pipelines_graphs_are_another_familys():
    files = {"model_index.json": {}, "unet/model.onnx": 8, "vae_decoder/model.onnx": 8}
    assert "onnx" not in {model.variants[0].format for model in find(files).models}


def test_a_graph_that_was_not_read_and_says_nothing_is_called_by_its_format():
    assert names(find(DEPTH | {"onnx/model.onnx": MEGABYTE, "model.onnx": MEGABYTE})) == [
        ("model.onnx", None),
        ("onnx", None),
    ]


def test_the_headers_that_are_wanted_are_few():
    wanted = headers_wanted(listing(graphs("model")))
    assert wanted == ("onnx/model.onnx",)
    marked = headers_wanted(listing(graphs("model", suffixes=("_q4", "_fp16", "_int8"))))
    assert marked == ("onnx/model_fp16.onnx",)
    small = headers_wanted(listing(graphs("model", size=1000)))
    assert len(small) == len(SUFFIXES)
    assert small[0] == "onnx/model.onnx"
    assert len(headers_wanted(listing({f"{n}.onnx": MEGABYTE for n in range(1000)}))) == 32


@pytest.mark.parametrize(
    ("name", "wanted"), [("tiny-onnx", "tiny"), ("ONNX", "onnx"), ("yolo11n_fp16.onnx", "yolo11n")]
)
def test_the_name_of_the_only_model(name, wanted):
    found = find({"tiny.onnx": header(metadata=YOLO)}, name)
    assert only_model(found).name == wanted
