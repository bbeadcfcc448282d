"""Which task a transformers model serves.

Structure first: what the sentence-transformers library wrote beside it, its class, the parts of its
configuration, its type; the card only where these leave it open, or leave a choice.
"""

from collections.abc import Iterator

from modelhub.facts import RepoListing
from modelhub.registry.introspect.architectures import CHAT, EMBED, RANK, TaskFinding, said_task
from modelhub.registry.introspect.base import FROM_CONFIG
from modelhub.registry.introspect.classes import Use, class_use, type_use
from modelhub.registry.introspect.documents import Fields

__all__ = ["JUDGE", "count_labels", "find_tasks", "subtask_of"]

JUDGE = "text-classification"

_CHOICES: dict[str, frozenset[str]] = {
    "text-classification": frozenset([RANK, "zero-shot-classification"]),
    "fill-mask": frozenset([EMBED]),
    "text2text-generation": frozenset(["summarization", "translation"]),
    "image-text-to-text": frozenset(
        [
            "any-to-any",
            "document-question-answering",
            "image-to-text",
            "video-text-to-text",
            "visual-document-retrieval",
            "visual-question-answering",
        ]
    ),
    "automatic-speech-recognition": frozenset(["audio-text-to-text"]),
    "zero-shot-image-classification": frozenset(["image-feature-extraction"]),
    "image-segmentation": frozenset(["mask-generation"]),
}
"""What a model may also be trained for whose class says one thing: there the card counts."""

_OTHER_SENSES = ("audio_config", "mm_vision_tower", "vision_config", "vision_tower", "visual")
"""Parts of a configuration that read something else than text."""

_MIXED = frozenset(["any-to-any", "audio-text-to-text", "image-text-to-text", "video-text-to-text"])


def find_tasks(
    config: Fields, listing: RepoListing, *, library: TaskFinding | None, template: bool
) -> tuple[TaskFinding, ...]:
    """What is said of the task of a model with this `config.json`: first what counts, then what says
    something else; nothing where nothing says it.

    `library` is the task by what sentence-transformers wrote, `template` whether there is a chat template.
    """
    said = said_task(listing)
    built = _by_class(config, template=template and said is None) or _by_type(config)
    if library and library.trust >= FROM_CONFIG:
        built = None  # what it is used for says more than the class that it was built on
    found = library or built
    if found is None:
        return (said,) if said else ()
    if said and not library and _may_be(said.task, found.task, config, template):
        found = said
    told = {found.task: found}
    for other in filter(None, (built, said)):
        told.setdefault(other.task, other)
    return tuple(told.values())


def subtask_of(findings: tuple[TaskFinding, ...]) -> str | None:
    """What tells the task apart that counts, whoever says it."""
    task = findings[0].task
    return next((each.subtask for each in findings if each.task == task and each.subtask), None)


def count_labels(config: Fields) -> int | None:
    """How many classes a model tells apart, where its configuration says it."""
    return config.whole("num_labels") or len(config.object("id2label").values) or None


def _may_be(said: str, found: str, config: Fields, template: bool) -> bool:
    """Whether a model whose structure says `found` may be one for what the card says."""
    if found == CHAT:
        # Decoders are trained to embed and to rank too, and keep the name of their class. Those that rank
        # may keep the template of the model that they were made from, and answer by it.
        if said in (EMBED, RANK):
            return said == RANK or not template
        return said in _MIXED and any(config.values.get(name) for name in _OTHER_SENSES)
    if found == JUDGE and said == RANK:
        return True
    return said in _CHOICES.get(found, ())


def _by_class(config: Fields, *, template: bool) -> TaskFinding | None:
    for name in config.texts("architectures"):
        evidence = f"{config.name}: architectures: {name}"
        if use := class_use(name):
            return TaskFinding(use.task, evidence, FROM_CONFIG, use.subtask)
        if name.endswith("ForConditionalGeneration"):
            for use, key in _by_parts(config):
                return TaskFinding(use.task, f"{evidence}, with {key}", FROM_CONFIG)
            if template or config.values.get("text_config"):
                # What generates, is given nothing but texts and holds conversations, writes.
                key = "a chat template" if template else "text_config"
                return TaskFinding(CHAT, f"{evidence}, with {key} and no other part", FROM_CONFIG)
    return None


def _by_parts(config: Fields) -> Iterator[tuple[Use, str]]:
    """What a model of a class that nobody knows gives something for, by what its configuration has."""
    has = config.values.get
    for key, task in (
        ("vision_config", "image-text-to-text"),
        ("audio_config", "audio-text-to-text"),
        ("num_mel_bins", "automatic-speech-recognition"),
    ):
        if has(key):
            yield Use(task), key
    if has("is_encoder_decoder") is True:
        yield Use("text2text-generation"), "is_encoder_decoder"


def _by_type(config: Fields) -> TaskFinding | None:
    kind = config.text("model_type") or ""
    use = type_use(kind)
    return use and TaskFinding(use.task, f"{config.name}: model_type: {kind}", FROM_CONFIG, use.subtask)
