"""Which task a GGUF model serves.

Structure first: how the model pools its output, then its architecture, then whether it has a
tokenizer; the card's pipeline tag only where structure says nothing.
Architecture names: `gguf: constants.py MODEL_ARCH_NAMES`; those of images and videos are what
diffusion engines write, which llama.cpp does not run.
"""

from typing import NamedTuple

from modelhub.facts import RepoListing
from modelhub.formats import GGUFHeader
from modelhub.registry.introspect.base import FROM_CARD, FROM_HEADER
from modelhub.tasks import TASKS

__all__ = [
    "CHAT",
    "EMBED",
    "POOLING",
    "RANK",
    "TaskFinding",
    "assumed_pooling",
    "find_gguf_task",
    "said_task",
]

CHAT, EMBED, RANK = "text-generation", "feature-extraction", "text-ranking"

POOLING = {1: "mean", 2: "cls", 3: "lasttoken", 4: "rank"}
"""`<architecture>.pooling_type`, by llama.cpp's `enum llama_pooling_type`; named as sentence-transformers
does."""

_ENCODERS = frozenset(
    [
        "bert",
        "eurobert",
        "gemma-embedding",
        "jina-bert-v2",
        "jina-bert-v3",
        "llama-embed",
        "modern-bert",
        "neo-bert",
        "nomic-bert",
        "nomic-bert-moe",
        "t5encoder",
    ]
)
_IMAGES = frozenset(["aura", "flux", "hidream", "lumina2", "qwen_image", "sd1", "sd3", "sdxl"])
_VIDEOS = frozenset(["hyvid", "ltxv", "wan"])
_TAGS = {name: task.id for task in TASKS for name in (*task.aliases, task.id)}
"""Tasks by the tags that cards have; some are aliases (`sentence-similarity`)."""


class TaskFinding(NamedTuple):
    """A canonical task id, what it rests on, how far that is trusted, and what tells it apart within
    the task.
    """

    task: str
    evidence: str
    trust: int
    subtask: str | None = None


def find_gguf_task(header: GGUFHeader | None, listing: RepoListing) -> TaskFinding:
    """The task of a model with this header, in this repository."""
    said = said_task(listing)
    if header is None:
        return said or TaskFinding(CHAT, "GGUF, and no header was read", FROM_CARD)
    return (
        _by_pooling(header)
        or _by_architecture(header, said)
        or _by_tokenizer(header, said)
        or said
        or TaskFinding(CHAT, "GGUF of an unknown architecture", FROM_CARD)
    )


def assumed_pooling(architecture: str | None) -> str:
    """How a GGUF model most likely pools that does not say it: decoders have seen all at the last token."""
    return "mean" if architecture in _ENCODERS else "lasttoken"


def said_task(listing: RepoListing) -> TaskFinding | None:
    """The task that the card claims, if it is one of ours."""
    tag = _TAGS.get(listing.pipeline_tag or "")
    return TaskFinding(tag, "card: pipeline_tag", FROM_CARD) if tag else None


def _by_pooling(header: GGUFHeader) -> TaskFinding | None:
    pooling = POOLING.get(header.hyperparameter("pooling_type") or 0)
    if pooling is None:
        return None
    task = RANK if pooling == "rank" else EMBED
    return TaskFinding(task, f"{header.architecture}.pooling_type: {pooling}", FROM_HEADER)


def _by_architecture(header: GGUFHeader, said: TaskFinding | None) -> TaskFinding | None:
    evidence = f"general.architecture: {header.architecture}"
    if header.architecture in _ENCODERS:
        return said if said and said.task == RANK else TaskFinding(EMBED, evidence, FROM_HEADER)
    if header.architecture in _IMAGES:
        return TaskFinding("text-to-image", evidence, FROM_HEADER)
    if header.architecture in _VIDEOS:
        # Text or image in front: one architecture serves both, only the card tells.
        return (
            said
            if said and said.task.endswith("-to-video")
            else TaskFinding("text-to-video", evidence, 50)
        )
    return None


def _by_tokenizer(header: GGUFHeader, said: TaskFinding | None) -> TaskFinding | None:
    if not header.text("tokenizer.ggml.model"):
        return None
    if said and said.task in (EMBED, RANK) and not header.chat_template:
        return said
    return TaskFinding(CHAT, f"a decoder with a tokenizer ({header.architecture})", FROM_HEADER)
