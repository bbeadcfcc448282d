"""The sentences whose neighbours tiny-embed knows: groups of one meaning each."""

import json

from .cases import ZOO


def embed_groups() -> dict[str, list[str]]:
    """The sentences by what they are about; the nearest neighbours of each are the others of its group."""
    groups: dict[str, list[str]] = json.loads((ZOO / "embed_texts.json").read_text(encoding="utf-8"))
    return groups


def embed_texts() -> list[str]:
    """Every sentence, one group after the other."""
    return [text for texts in embed_groups().values() for text in texts]


def embed_labels() -> list[str]:
    """The group of each sentence of `embed_texts`."""
    return [name for name, texts in embed_groups().items() for _ in texts]
