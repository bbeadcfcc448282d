"""Which task an ONNX model serves, by what its graphs take and give.

Names of inputs and outputs: optimum's `exporters/onnx/model_configs.py`; those of YuNet:
https://github.com/opencv/opencv_zoo/tree/main/models/face_detection_yunet. Ultralytics writes the task
into the file's metadata (`ultralytics/engine/exporter.py`).
"""

from collections.abc import Collection, Iterator, Mapping

from modelhub.formats import ONNXHeader
from modelhub.registry.introspect.architectures import CHAT, EMBED, TaskFinding
from modelhub.registry.introspect.base import FROM_HEADER

__all__ = ["task_by_graphs"]

DETECT, SEGMENT, TRANSCRIBE = "object-detection", "image-segmentation", "automatic-speech-recognition"
DEPTH, POSE, SPEAK = "depth-estimation", "keypoint-detection", "text-to-speech"
CLASSIFY, MASK = "image-classification", "mask-generation"

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


def task_by_graphs(headers: Mapping[str, ONNXHeader]) -> TaskFinding | None:
    """The task that the graphs of a model can only have, by the files that they were read from."""
    graphs = _Graphs(headers)
    found = next(graphs.tasks(), None)
    if found is None:
        return None
    task, subtask, why = found
    return TaskFinding(task, f"{next(iter(headers))}: {why}", FROM_HEADER, subtask)


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
