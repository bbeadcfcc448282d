"""The tasks by name: the Hugging Face pipeline tag where one exists, and its aliases.

The tags are those of `huggingface.js: packages/tasks/src/pipelines.ts`; a subtask tells apart what
has no tag of its own (face detection, super-resolution, OCR, frame interpolation).
"""

from dataclasses import dataclass

from modelhub.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class TaskName:
    """A task's canonical id, its subtask if any, the Hub's verb for it, and other names of it.

    `verb` is `None` where the Hub has none: such models are found and fetched, and run elsewhere.
    """

    id: str
    verb: str | None
    category: str
    subtask: str | None = None
    aliases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What means this task, the verb included, which several may share."""
        verb = (self.verb.replace("_", "-"),) if self.verb else ()
        return (self.subtask or self.id, *verb, *self.aliases)


_FURTHER = {
    "llm": (
        "any-to-any",
        "audio-text-to-text",
        "fill-mask",
        "image-text-to-text",
        "multiple-choice",
        "question-answering",
        "summarization",
        "table-question-answering",
        "text-classification",
        "text2text-generation",
        "token-classification",
        "translation",
        "video-text-to-text",
        "zero-shot-classification",
    ),
    "vision": (
        "document-question-answering",
        "image-feature-extraction",
        "video-classification",
        "visual-document-retrieval",
        "visual-question-answering",
        "zero-shot-image-classification",
        "zero-shot-object-detection",
    ),
    "audio": ("audio-classification", "audio-to-audio", "voice-activity-detection"),
    "image": ("unconditional-image-generation",),
    "tabular": ("tabular-classification", "tabular-regression", "time-series-forecasting"),
    "robotics": ("robotics",),
}
"""Tags by category that the Hub has no verb for."""

TASKS: tuple[TaskName, ...] = (
    TaskName("text-generation", "chat", "llm", aliases=("llm", "chat", "conversational")),
    TaskName("feature-extraction", "embed", "llm", aliases=("embeddings", "sentence-similarity")),
    TaskName("text-ranking", "rerank", "llm", aliases=("reranking",)),
    TaskName("object-detection", "detect", "vision"),
    TaskName("object-detection", "detect_faces", "vision", "face-detection"),
    TaskName("image-segmentation", "segment", "vision", aliases=("segmentation",)),
    TaskName("image-segmentation", "segment", "vision", "instance-segmentation"),
    TaskName("image-segmentation", "segment", "vision", "panoptic-segmentation"),
    TaskName("image-segmentation", "segment", "vision", "semantic-segmentation"),
    TaskName("image-segmentation", None, "vision", "image-matting"),
    TaskName("mask-generation", "segment", "vision"),
    TaskName("image-to-image", "upscale", "vision", "super-resolution"),
    TaskName("keypoint-detection", "estimate_pose", "vision", aliases=("pose-estimation",)),
    TaskName("depth-estimation", "estimate_depth", "vision"),
    TaskName("image-classification", "classify", "vision"),
    TaskName("image-to-text", "ocr", "vision", "ocr"),
    TaskName("automatic-speech-recognition", "transcribe", "audio", aliases=("speech-to-text", "stt")),
    TaskName("text-to-speech", "speak", "audio", aliases=("text-to-audio", "tts")),
    TaskName("text-to-image", "generate_image", "image"),
    TaskName("text-to-video", "generate_video", "video"),
    TaskName("image-to-video", "generate_video", "video"),
    TaskName("video-to-video", "interpolate", "video", "frame-interpolation", ("interpolation",)),
    TaskName("feature-extraction", None, "llm", "sparse-embedding"),
    *(TaskName(name, None, category) for category, names in _FURTHER.items() for name in names),
)


def find_task(name: str) -> TaskName:
    """The task that `name` means: a canonical id, a subtask, a verb or an alias, without case.

    Raises:
        InvalidInput: for what is no text, and listing the ids that exist.
    """
    if not isinstance(name, str):
        raise _no_task(f"task must be a text, not {type(name).__name__}")
    wanted = name.strip().lower().replace("_", "-")
    for task in TASKS:
        if wanted in task.names:
            return task
    for task in TASKS:
        # An id that only stands with a subtask here still is the task's id.
        if wanted == task.id:
            return task
    raise _no_task(f"unknown task {name!r:.60}")


def _no_task(message: str) -> InvalidInput:
    known = ", ".join(sorted({task.id for task in TASKS}))
    return InvalidInput(message, hint=f"Tasks are: {known}.", field="task")
