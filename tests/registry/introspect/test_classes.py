"""What each class of the transformers library is for, beside the installed library's own lists."""

from collections.abc import Iterator

import pytest

from modelhub.registry.introspect.classes import TASKLESS, class_use, taskless, type_use
from modelhub.tasks import TASKS

SEE = {"image-text-to-text", "image-to-text", "visual-question-answering"}
HEAR = {"automatic-speech-recognition", "audio-text-to-text"}
LISTS = {
    "AUDIO_CLASSIFICATION": {"audio-classification"},
    "BACKBONE": {"image-feature-extraction"},
    "CAUSAL_IMAGE_MODELING": {"unconditional-image-generation"},
    "CAUSAL_LM": {"text-generation"},
    "CTC": HEAR,
    "DEPTH_ESTIMATION": {"depth-estimation"},
    "DOCUMENT_QUESTION_ANSWERING": {"document-question-answering"},
    "IMAGE": {"image-feature-extraction"},
    "IMAGE_CLASSIFICATION": {"image-classification"},
    "IMAGE_MATTING": {"image-segmentation"},
    "IMAGE_SEGMENTATION": {"image-segmentation"},
    "IMAGE_TEXT_TO_TEXT": SEE,
    "IMAGE_TO_IMAGE": {"image-to-image"},
    "INSTANCE_SEGMENTATION": {"image-segmentation"},
    "KEYPOINT_DETECTION": {"keypoint-detection"},
    "MASKED_LM": {"fill-mask"},
    "MASK_GENERATION": {"mask-generation"},
    "MULTIMODAL_LM": {"any-to-any", *SEE, *HEAR},
    "MULTIPLE_CHOICE": {"multiple-choice"},
    "OBJECT_DETECTION": {"object-detection"},
    "POSE_ESTIMATION": {"keypoint-detection"},
    "QUESTION_ANSWERING": {"question-answering"},
    "RETRIEVAL": {"visual-document-retrieval"},
    "RNNT": HEAR,
    "SEMANTIC_SEGMENTATION": {"image-segmentation"},
    "SEQUENCE_CLASSIFICATION": {"text-classification"},
    "SEQ_TO_SEQ_CAUSAL_LM": {"text2text-generation", "translation", *HEAR},
    "SPEECH_SEQ_2_SEQ": HEAR,
    "TABLE_QUESTION_ANSWERING": {"table-question-answering"},
    "TDT": HEAR,
    "TEXT_ENCODING": {"feature-extraction"},
    "TEXT_RECOGNITION": {"image-to-text"},
    "TEXT_TO_SPECTROGRAM": {"text-to-speech"},
    "TEXT_TO_WAVEFORM": {"text-to-speech", "any-to-any"},
    "TIME_SERIES_PREDICTION": {"time-series-forecasting"},
    "TOKEN_CLASSIFICATION": {"token-classification"},
    "UNIVERSAL_SEGMENTATION": {"image-segmentation"},
    "VIDEO_CLASSIFICATION": {"video-classification"},
    "VISUAL_QUESTION_ANSWERING": {"visual-question-answering"},
    "ZERO_SHOT_IMAGE_CLASSIFICATION": {"zero-shot-image-classification"},
    "ZERO_SHOT_OBJECT_DETECTION": {"zero-shot-object-detection"},
}
"""Which tags the classes of each list may have. Lists of what no tag stands for are not in it."""

OTHERWISE = {
    "DiaForConditionalGeneration": "it speaks, and is listed with what listens",
    "Mistral4ForCausalLM": "it reads text alone, and is listed with what sees",
    "PI0ForConditionalGeneration": "it moves a robot",
    "PPFormulaNetForConditionalGeneration": "it reads formulas",
}
"""Classes that do something else than their lists say."""


def architectures() -> Iterator[tuple[str, set[str]]]:
    """Each class that the library's auto classes make, and the lists that it is in."""
    auto = pytest.importorskip("transformers.models.auto.modeling_auto", reason="no transformers here")
    found: dict[str, set[str]] = {}
    for attribute in dir(auto):
        if attribute.startswith("MODEL_FOR_") and attribute.endswith("_NAMES"):
            name = attribute.removeprefix("MODEL_FOR_").removesuffix("_NAMES").removesuffix("_MAPPING")
            for classes in getattr(auto, attribute).values():
                for each in [classes] if isinstance(classes, str) else classes:
                    found.setdefault(each, set()).add(name)
    yield from found.items()


def test_every_architecture_of_the_library_has_a_use_or_a_reason_why_not():
    found = [name for name, _ in architectures()]
    assert len(found) > 900
    assert [name for name in found if (class_use(name) is None) == (taskless(name) is None)] == []


def test_every_use_is_one_that_the_library_lists_it_for():
    wrong = {}
    for name, lists in architectures():
        use = class_use(name)
        allowed = set().union(*(LISTS.get(each, set()) for each in lists))
        if use and use.task not in allowed and name not in OTHERWISE and lists != {"PRETRAINING"}:
            wrong[name] = use.task, sorted(lists)
    assert wrong == {}


def test_what_has_no_task_is_in_no_list_of_one():
    listed = {name: lists for name, lists in architectures() if taskless(name)}
    odd = {name for name, lists in listed.items() if any(each in LISTS for each in lists)}
    assert odd == {"EvollaForProteinText2Text", "Pop2PianoForConditionalGeneration"}
    assert all(any(name.endswith(end) for name in listed) for end in TASKLESS)


@pytest.mark.parametrize(
    ("name", "task", "subtask"),
    [
        ("Qwen3ForCausalLM", "text-generation", None),
        ("T5ForConditionalGeneration", "text2text-generation", None),
        ("MarianMTModel", "translation", None),
        ("WhisperForConditionalGeneration", "automatic-speech-recognition", None),
        ("Wav2Vec2ForCTC", "automatic-speech-recognition", None),
        ("Wav2Vec2ForSequenceClassification", "audio-classification", None),
        ("BertForSequenceClassification", "text-classification", None),
        ("TapasForQuestionAnswering", "table-question-answering", None),
        ("OwlViTForObjectDetection", "zero-shot-object-detection", None),
        ("SegformerForSemanticSegmentation", "image-segmentation", "semantic-segmentation"),
        ("MaskFormerForInstanceSegmentation", "image-segmentation", "instance-segmentation"),
        ("Swin2SRForImageSuperResolution", "image-to-image", "super-resolution"),
        ("CLIPModel", "zero-shot-image-classification", None),
        ("Dinov2Model", "image-feature-extraction", None),
        ("Qwen2_5_VLForConditionalGeneration", "image-text-to-text", None),
        ("SamModel", "mask-generation", None),
        ("TimeSeriesTransformerForPrediction", "time-series-forecasting", None),
        ("SomebodysOwnForDepthEstimation", "depth-estimation", None),
    ],
)
def test_uses(name, task, subtask):
    assert class_use(name) == (task, subtask)


@pytest.mark.parametrize(
    "name",
    ["LlamaModel", "NewForConditionalGeneration", "", "ForCausal", "BertForNextSentencePrediction"],
)
def test_what_a_name_does_not_say(name):
    assert class_use(name) is None


def test_uses_are_tasks_that_can_be_named():
    names = {(task.id, task.subtask) for task in TASKS} | {(task.id, None) for task in TASKS}
    classes = ["SegformerForSemanticSegmentation", "VitMatteForImageMatting", "TrOCRForTextRecognition"]
    uses = {class_use(name) for name in classes} | {type_use("vitmatte"), type_use("vitpose")}
    assert uses <= names
    assert {class_use(name) for name, _ in architectures()} - {None} <= names
