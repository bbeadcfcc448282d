"""Which task an ONNX model serves: by its configuration, then its card, then what its graphs take and give.

Classes and types: `transformers.models.auto.modeling_auto`; some repositories have `model_type` alone.
Names of inputs and outputs: optimum's `exporters/onnx/model_configs.py`; those of YuNet:
https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet. Ultralytics writes the task
into the file's metadata (`ultralytics/engine/exporter.py`).
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from modelhub.facts import RepoListing
from modelhub.formats import ONNXHeader
from modelhub.registry.introspect.architectures import CHAT, EMBED, TaskFinding, said_task
from modelhub.registry.introspect.base import FROM_CONFIG, FROM_HEADER
from modelhub.registry.introspect.class_tasks import find_task_of
from modelhub.registry.introspect.documents import Fields

__all__ = ["Purpose", "task_by_graphs", "task_by_repository"]

DETECT, SEGMENT, TRANSCRIBE = "object-detection", "image-segmentation", "automatic-speech-recognition"
DEPTH, POSE, SPEAK = "depth-estimation", "keypoint-detection", "text-to-speech"
CLASSIFY, MASK = "image-classification", "mask-generation"
UPSCALE = ("image-to-image", "super-resolution")

_BY_CLASS: dict[str, tuple[str, str | None]] = {
    "ForCTC": (TRANSCRIBE, None),
    "ForDepthEstimation": (DEPTH, None),
    "ForImageClassification": (CLASSIFY, None),
    "ForImageSuperResolution": UPSCALE,
    "ForInstanceSegmentation": (SEGMENT, None),
    "ForObjectDetection": (DETECT, None),
    "ForPoseEstimation": (POSE, None),
    "ForSemanticSegmentation": (SEGMENT, None),
    "ForSpeechSeq2Seq": (TRANSCRIBE, None),
    "ForTextToSpeech": (SPEAK, None),
    "ForUniversalSegmentation": (SEGMENT, None),
}
"""By how the name of a class ends."""

_BY_TYPE: dict[str, tuple[str, str | None]] = {
    **dict.fromkeys(
        ["conditional_detr", "d_fine", "deformable_detr", "rf_detr", "rt_detr", "rt_detr_v2", "yolos"],
        (DETECT, None),
    ),
    **dict.fromkeys(["depth_anything", "depth_pro", "glpn", "zoedepth"], (DEPTH, None)),
    **dict.fromkeys(["moonshine", "speech_to_text", "whisper"], (TRANSCRIBE, None)),
    **dict.fromkeys(["edgetam", "sam", "sam2", "sam_hq"], (MASK, None)),
    **dict.fromkeys(["style_text_to_speech_2", "vits"], (SPEAK, None)),
    "swin2sr": UPSCALE,
    "vitpose": (POSE, None),
}
"""By `model_type`, of models that serve one task only."""

_ULTRALYTICS = {
    "classify": CLASSIFY,
    "detect": DETECT,
    "obb": DETECT,
    "pose": POSE,
    "segment": SEGMENT,
}
_TOKENS = frozenset(["attention_mask", "input_ids", "position_ids", "token_type_ids"])
_YUNET = frozenset(
    f"{part}_{stride}" for part in ("bbox", "cls", "kps", "obj") for stride in (8, 16, 32)
)


class Purpose(NamedTuple):
    """A task, what tells it apart within it, what says so and how far that is trusted."""

    task: str
    subtask: str | None
    evidence: str
    trust: int


def task_by_repository(
    config: Fields | None, listing: RepoListing, *, modules: bool, template: bool
) -> Purpose | None:
    """The task by `config.json`, else by the card. `modules` is whether it lists those of a sentence
    embedder, `template` whether it has a chat template.
    """
    said = said_task(listing)
    if config is not None:
        found = find_task_of(config, listing, modules=modules, template=template)
        if found and found != said:
            return _plain(found)
        if purpose := _by_config(config):
            return purpose
    return _plain(said) if said else None


def task_by_graphs(headers: Mapping[str, ONNXHeader]) -> Purpose | None:
    """The task that the graphs of a model can only have, by the files that they were read from."""
    graphs = _Graphs(headers)
    found = next(graphs.tasks(), None)
    if found is None:
        return None
    task, subtask, why = found
    return Purpose(task, subtask, f"{next(iter(headers))}: {why}", FROM_HEADER)


def _plain(found: TaskFinding) -> Purpose:
    return Purpose(found.task, None, found.evidence, found.trust)


def _by_config(config: Fields) -> Purpose | None:
    for name in config.texts("architectures"):
        for suffix, (task, subtask) in _BY_CLASS.items():
            if name.endswith(suffix):
                return Purpose(task, subtask, f"config.json: architectures: {name}", FROM_CONFIG)
    kind = config.text("model_type") or ""
    if kind in _BY_TYPE:
        return Purpose(*_BY_TYPE[kind], f"config.json: model_type: {kind}", FROM_CONFIG)
    return None


class _Graphs:
    """What all graphs of a model take and give, by name, with the number of dimensions."""

    def __init__(self, headers: Mapping[str, ONNXHeader]) -> None:
        self.metadata = [header.metadata for header in headers.values()]
        values = [
            (each.name, len(each.shape or ()), taken)
            for header in headers.values()
            for taken, side in ((True, header.inputs), (False, header.outputs))
            for each in side
        ]
        self.inputs = {name: rank for name, rank, taken in values if taken}
        self.outputs = {name: rank for name, rank, taken in values if not taken}

    def tasks(self) -> Iterator[tuple[str, str | None, str]]:
        """Each task that fits, with its subtask and what it rests on; the first is the most telling."""
        for metadata in self.metadata:
            task = _ULTRALYTICS.get(metadata.get("task", ""))
            if task and metadata.get("author") == "Ultralytics":
                yield task, None, f"metadata: task: {metadata['task']}"
        yield from self._by_names()

    def _by_names(self) -> Iterator[tuple[str, str | None, str]]:
        takes, gives = self.inputs.keys(), self.outputs.keys()
        if gives >= _YUNET:
            yield DETECT, "face-detection", "outputs of YuNet"
        if _only(takes, "pixel_values", "pixel_mask"):
            yield from self._of_images()
        if gives >= {"iou_scores", "pred_masks"} and "input_points" in takes:
            yield MASK, None, "takes points and gives masks"
        if "input_ids" in takes and takes <= _TOKENS and self._gives_vectors():
            yield EMBED, None, "takes tokens and gives vectors"
        if "waveform" in gives and "input_ids" in takes:
            yield SPEAK, None, "takes tokens and gives a waveform"
        yield from self._of_decoders()

    def _gives_vectors(self) -> bool:
        gives = self.outputs.keys()
        return "sentence_embedding" in gives or _only(gives, "last_hidden_state", "pooler_output")

    def _of_images(self) -> Iterator[tuple[str, str | None, str]]:
        gives = self.outputs.keys()
        if "predicted_depth" in gives:
            yield DEPTH, None, "takes an image and gives its depth"
        if gives >= {"logits", "pred_boxes"}:
            task = SEGMENT if "pred_masks" in gives else DETECT
            yield task, None, "takes an image and gives classes and boxes"
        if gives == {"logits"} and self.outputs["logits"] in (2, 4):
            task = CLASSIFY if self.outputs["logits"] == 2 else SEGMENT
            yield task, None, "takes an image and gives classes"

    def _of_decoders(self) -> Iterator[tuple[str, str | None, str]]:
        takes, gives = self.inputs.keys(), self.outputs.keys()
        if "logits" not in gives:
            return
        if "input_features" in takes and "encoder_hidden_states" in takes:
            yield TRANSCRIBE, None, "takes a spectrogram and gives tokens"
        if _only(takes, "input_values", "attention_mask") and self.outputs["logits"] == 3:
            yield TRANSCRIBE, None, "takes a waveform and gives tokens"
        cached = {name for name in takes if name.startswith("past_key_values.")}
        if cached and "input_ids" in takes and takes - cached <= _TOKENS | {"use_cache_branch"}:
            yield CHAT, None, "takes tokens with a cache and gives the next"


def _only(names: Collection[str], needed: str, *allowed: str) -> bool:
    """Whether one is there, and no others but those allowed."""
    return needed in names and set(names) <= {needed, *allowed}
