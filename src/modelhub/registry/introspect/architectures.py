"""Which task a GGUF model serves.

Structure first: whether it has a head that scores, how it pools its output, its architecture, then
whether it has a tokenizer; the card's pipeline tag only where structure says nothing.
Architecture names: `gguf: constants.py MODEL_ARCH_NAMES`; those of images and videos are what
diffusion engines write, which llama.cpp does not run.
"""

from modelhub.facts import RepoListing
from modelhub.formats import GGUFHeader
from modelhub.registry.introspect.base import FROM_CARD, FROM_HEADER, FROM_NAME, TaskFinding
from modelhub.tasks import TASKS

__all__ = [
    "CHAT",
    "EMBED",
    "POOLING",
    "RANK",
    "TaskFinding",
    "assumed_pooling",
    "find_gguf_task",
    "has_head",
    "said_task",
]

CHAT, EMBED, RANK = "text-generation", "feature-extraction", "text-ranking"

HEAD = "cls.output.weight"
"""The last tensor of a classifier (`gguf: constants.py MODEL_TENSOR.CLS_OUT`)."""

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


def find_gguf_task(header: GGUFHeader | None, listing: RepoListing) -> TaskFinding:
    """The task of a model with this header, in this repository."""
    said = said_task(listing)
    if header is None:
        return said or TaskFinding(CHAT, "GGUF, and no header was read", FROM_CARD)
    return (
        _by_head(header)
        or _by_pooling(header)
        or _by_name(header)
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


def has_head(header: GGUFHeader) -> bool:
    """Whether it has what turns a text into scores."""
    return any(tensor.name == HEAD for tensor in header.tensors)


def _by_head(header: GGUFHeader) -> TaskFinding | None:
    """One score a text, or one for yes and one for no, is what rerankers give."""
    scores = [tensor.elements // tensor.shape[0] for tensor in header.tensors if tensor.name == HEAD]
    labels = header.metadata.get(f"{header.architecture}.classifier.output_labels")
    if scores == [1]:
        return TaskFinding(RANK, f"{HEAD}: one score", FROM_HEADER)
    if scores == [2] and isinstance(labels, tuple) and set(labels) == {"yes", "no"}:
        return TaskFinding(RANK, "classifier.output_labels: yes and no", FROM_HEADER)
    return None


def _by_name(header: GGUFHeader) -> TaskFinding | None:
    """Rerankers that were converted without their heads look like the decoders that they were."""
    if "tokenizer.chat_template.rerank" in header.metadata:
        return TaskFinding(RANK, "tokenizer.chat_template.rerank", FROM_HEADER)
    if "reranker" in (header.text("general.name") or "").lower():
        return TaskFinding(RANK, "general.name", FROM_NAME)
    return None


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
    if said and (said.task == RANK or (said.task == EMBED and not header.chat_template)):
        return said
    return TaskFinding(CHAT, f"a decoder with a tokenizer ({header.architecture})", FROM_HEADER)
