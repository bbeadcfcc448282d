"""The zoo's repositories, as folders: what the tests and the demo serve. Needs gguf, numpy and safetensors; no torch."""

from collections.abc import Callable
from pathlib import Path

from .cases import ZOO, Case, Message, chat_answers
from .copying import copy_files
from .embed_repos import EMBED_PRECISIONS, build_embed, build_embed_gguf

__all__ = [
    "EMBED_PRECISIONS",
    "PRECISIONS",
    "REPOSITORIES",
    "Case",
    "Message",
    "build_chat",
    "build_chat_gguf",
    "build_embed",
    "build_embed_gguf",
    "build_zoo",
    "chat_answers",
]

REPOSITORY = ZOO / "chat"
"""zoo/tiny-chat, as committed."""

COMMITTED_GGUF = ZOO / "chat-gguf"
"""What of zoo/tiny-chat-GGUF cannot be derived from zoo/tiny-chat in a moment: its card and the K-quantized file."""

DERIVED = ("f16", "q8_0", "q4_0")
PRECISIONS = (*DERIVED, "q4_k_m")
"""Of zoo/tiny-chat-GGUF: those made from zoo/tiny-chat when it is built, and all."""


def build_chat(folder: Path) -> Path:
    """zoo/tiny-chat in the folder, made if need be: configuration, tokenizer, safetensors, card. Returns the folder."""
    copy_files(REPOSITORY, folder)
    return folder


def build_chat_gguf(folder: Path, *, shards: int = 1) -> Path:
    """zoo/tiny-chat-GGUF in the folder, made if need be: a card and four quantizations. Returns the folder.

    With `shards`, the f16 file comes in about that many pieces, `zoo-chat-f16-00001-of-0000N.gguf`.
    The same bytes each time.
    """
    from .gguf_writer import write_gguf

    copy_files(COMMITTED_GGUF, folder)
    for precision in DERIVED:
        pieces = shards if precision == "f16" else 1
        write_gguf(REPOSITORY, folder / f"zoo-chat-{precision}.gguf", precision, shards=pieces)
    return folder


REPOSITORIES: dict[str, Callable[[Path], Path]] = {
    "zoo/tiny-chat": build_chat,
    "zoo/tiny-chat-GGUF": build_chat_gguf,
    "zoo/tiny-embed": build_embed,
    "zoo/tiny-embed-GGUF": build_embed_gguf,
}
"""Every repository of the zoo by its public name."""


def build_zoo(root: Path) -> Path:
    """Every repository, each at `root/<vendor>/<name>`. Returns the root."""
    for name, build in REPOSITORIES.items():
        build(root / name)
    return root
