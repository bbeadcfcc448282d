"""Bundles over the zoo's GGUF files, as the Hub would hand them to a runtime."""

import functools
import tempfile
from pathlib import Path

from modelhub.facts import Component, Device, Model, RepoFile, Variant
from modelhub.refs import RepoPath
from modelhub.runtimes import Bundle
from tests.zoo.repos import build_chat_gguf

REPO = "zoo/tiny-chat-GGUF"
COMMIT = "0" * 40
CONTEXT = 1024


@functools.cache
def chat_folder() -> Path:
    """zoo/tiny-chat-GGUF, with its f16 file in three shards; built once a run."""
    keep = tempfile.TemporaryDirectory(prefix="zoo-")
    _kept.append(keep)
    return build_chat_gguf(Path(keep.name), shards=3)


_kept: list[object] = []


def chat_bundle(precision: str = "q8_0") -> Bundle:
    """The zoo's chat model in one precision."""
    names = sorted(path.name for path in chat_folder().glob(f"*-{precision}*.gguf"))
    return bundle(chat_folder(), *names, context=CONTEXT)


def bundle(folder: Path, *names: str, context: int | None = None) -> Bundle:
    """A variant of the files with these names in a folder."""
    files = tuple(RepoFile(path=RepoPath(name), size=(folder / name).stat().st_size) for name in names)
    part = Component(name="model", repo=REPO, commit=COMMIT, files=files, format="gguf")
    variant = Variant(name="q8_0", format="gguf", components=(part,))
    model = Model(
        name="tiny-chat",
        task="text-generation",
        category="llm",
        context_length=context,
        variants=(variant,),
    )
    return Bundle(model, variant, {"model": folder})


def on_another_device(kind: str) -> Device:
    """A device that this machine need not have."""
    return Device(name=f"{kind}:0", kind=kind, memory_total=1 << 34, memory_free=1 << 34)
