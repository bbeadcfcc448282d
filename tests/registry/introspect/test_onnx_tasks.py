"""Which task an ONNX model serves, and what says it."""

import pytest

from .found import codes, only_model, said
from .onnx_repos import CACHE, IMAGE, QWEN, TOKENS, YOLO, YUNET, find, header

LOGITS2, LOGITS3 = {"logits": (1, 1000)}, {"logits": (1, None, 32)}


@pytest.mark.parametrize(
    ("config", "task", "subtask"),
    [
        ({"model_type": "depth_anything"}, "depth-estimation", None),
        ({"model_type": "style_text_to_speech_2"}, "text-to-speech", None),
        ({"model_type": "whisper"}, "automatic-speech-recognition", None),
        ({"model_type": "sam"}, "mask-generation", None),
        ({"model_type": "vitpose"}, "keypoint-detection", None),
        ({"model_type": "swin2sr"}, "image-to-image", "super-resolution"),
        ({"architectures": ["DetrForObjectDetection"]}, "object-detection", None),
        ({"architectures": ["ViTForImageClassification"]}, "image-classification", None),
        (
            {"architectures": ["SegformerForSemanticSegmentation"]},
            "image-segmentation",
            "semantic-segmentation",
        ),
        ({"architectures": ["Swin2SRForImageSuperResolution"]}, "image-to-image", "super-resolution"),
        ({"architectures": ["Wav2Vec2ForCTC"]}, "automatic-speech-recognition", None),
        (QWEN, "text-generation", None),
        ({"architectures": ["BertModel"], "model_type": "bert"}, "feature-extraction", None),
    ],
)
def test_the_configuration_says_it(config, task, subtask):
    found = find({"config.json": config, "onnx/model.onnx": None})
    model = only_model(found)
    assert (model.task, model.subtask) == (task, subtask)
    assert said(found, "model:tiny", "task") == {task: 80}


GRAPHS = {
    "depth-estimation": (IMAGE, {"predicted_depth": (1, 8, 8)}),
    "object-detection": (IMAGE | {"pixel_mask": (1, 64, 64)}, LOGITS3 | {"pred_boxes": (1, 100, 4)}),
    "image-segmentation": (IMAGE, {"logits": (1, 150, 16, 16)}),
    "image-segmentation, by masks": (IMAGE, LOGITS3 | {"pred_boxes": (1,), "pred_masks": (1,)}),
    "image-classification": (IMAGE, LOGITS2),
    "mask-generation": (
        {"input_points": (1,), "image_embeddings": (1,)},
        {"iou_scores": (1,), "pred_masks": (1,)},
    ),
    "feature-extraction": (TOKENS, {"last_hidden_state": (1, None, 32)}),
    "feature-extraction, by sentences": (TOKENS, {"token_embeddings": (1,), "sentence_embedding": (1,)}),
    "text-generation": (TOKENS | CACHE, LOGITS3),
    "text-to-speech": (TOKENS | {"style": (1, 256), "speed": (1,)}, {"waveform": (1,)}),
    "automatic-speech-recognition": ({"input_values": (1, None)}, LOGITS3),
    "object-detection, by YuNet": ({"input": (1, 3, 640, 640)}, YUNET),
}


@pytest.mark.parametrize(("name", "takes", "gives"), [(name, *sides) for name, sides in GRAPHS.items()])
def test_the_graph_says_it_where_nothing_else_does(name, takes, gives):
    found = find({"tiny.onnx": header("fp32", takes, gives)})
    assert only_model(found).task == name.partition(",")[0]
    assert said(found, "model:tiny", "task") == {name.partition(",")[0]: 100}


def test_parts_say_it_together():
    encoder = header("fp32", {"input_features": (1, 80, 3000)}, {"last_hidden_state": (1, 1500, 384)})
    takes = TOKENS | CACHE | {"encoder_hidden_states": (1, 1500, 384)}
    found = find(
        {"encoder_model.onnx": encoder, "decoder_model_merged.onnx": header("fp32", takes, LOGITS3)}
    )
    assert only_model(found).task == "automatic-speech-recognition"


NOT_TELLING = {
    "images and no names": ({"images": (1, 3, 640, 640)}, {"output0": (1, 84, 8400)}),
    "classes of texts": (TOKENS, LOGITS2),
    "masked words": (TOKENS, LOGITS3),
    "a sound's classes": ({"input_values": (1, None)}, LOGITS2),
    "boxes for words": (IMAGE | TOKENS, LOGITS3 | {"pred_boxes": (1, 100, 4)}),
    "a decoder of another's states": (TOKENS | CACHE | {"encoder_hidden_states": (1,)}, LOGITS3),
    "a decoder of images": (TOKENS | CACHE | IMAGE, LOGITS3),
    "an image's vector": (IMAGE, {"image_embeds": (1, 512)}),
    "nothing known": ({"x": (1,)}, {"y": (1,)}),
}


@pytest.mark.parametrize(("takes", "gives"), NOT_TELLING.values(), ids=NOT_TELLING)
def test_what_is_not_plain_is_not_guessed(takes, gives):
    found = find({"tiny.onnx": header("fp32", takes, gives)})
    assert found.models == ()
    (warning,) = found.warnings
    assert warning.code == "task.unknown"
    assert next(iter(takes)) in warning.text
    assert said(found, "model:tiny", "task") == {None: 100}


def test_without_a_header_what_was_missing_is_said():
    found = find({"tiny_q4.onnx": 1 << 30})
    (row,) = [row for row in found.evidence if row.key == "task"]
    assert (row.value, row.trust) == (None, 50)
    assert "none was read" in row.evidence
    assert codes(found) == ["task.unknown"]


def test_the_card_says_it_before_the_graph_and_both_are_kept():
    embedder = header("fp32", TOKENS, {"last_hidden_state": (1, None, 32)})
    found = find({"tiny.onnx": embedder}, pipeline_tag="text-ranking")
    assert only_model(found).task == "text-ranking"
    assert said(found, "model:tiny", "task") == {"text-ranking": 30, "feature-extraction": 100}


def test_the_configuration_says_it_before_the_card():
    found = find({"config.json": {"model_type": "sam"}, "tiny.onnx": None}, pipeline_tag="text-to-image")
    assert only_model(found).task == "mask-generation"


def test_the_graph_tells_what_the_card_leaves_open():
    faces = header("fp32", {"input": (1, 3, 640, 640)}, YUNET)
    found = find({"faces.onnx": faces}, pipeline_tag="object-detection")
    assert (only_model(found).task, only_model(found).subtask) == ("object-detection", "face-detection")


def test_anybody_can_write_a_task_into_a_file():
    assert find({"tiny.onnx": header(metadata={"task": "detect"})}).models == ()
    assert find({"tiny.onnx": header(metadata=YOLO | {"task": "no such"})}).models == ()


def test_a_chat_model_without_a_template_is_told():
    found = find({"model.onnx": header("fp32", TOKENS | CACHE, LOGITS3)})
    assert codes(found) == ["chat_template.missing"]
