"""Folders as they are pulled of repositories for transformers, and bundles of them. Imports no PyTorch."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from modelhub.facts import Call, RepoFile, RepoId, RepoListing
from modelhub.formats import RangeReader, read_safetensors
from modelhub.refs import RepoPath
from modelhub.registry.introspect import (
    Metadata,
    classify,
    headers_wanted,
    introspect,
    metadata_wanted,
)
from modelhub.runtimes import Bundle
from modelhub.runtimes.testing import Subject, folder_bundle
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import EmbedResult, embed_request
from tests.zoo.embed_repos import write_json
from tests.zoo.repos import build_embed

CHAT = Path(__file__).parents[1] / "zoo" / "chat"
PARTS = "sentence_transformers.models."


def subject(folder: Path = CHAT, **options: object) -> Subject:
    """The runtime with the chat model of a folder."""
    bundle = folder_bundle(folder, "text-generation", "safetensors")
    return Subject(TransformersRuntime(), bundle, options)


def embedder(folder: Path, **options: object) -> Subject:
    """The runtime with the sentence embedder of a folder."""
    return Subject(TransformersRuntime(), pulled(folder), options)


def pulled(folder: Path) -> Bundle:
    """What the Hub hands to `load`: the first variant of what introspection finds in the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = tuple(
        RepoFile(path=name, size=path.stat().st_size, kind=classify(name))
        for path in paths
        if (name := RepoPath(path.relative_to(folder).as_posix()))
    )
    repo = RepoId(source="local", vendor="tests", name=folder.name)
    listing = RepoListing(
        repo=repo, commit="0" * 40, revision="main", files=files, source_uri=folder.as_uri()
    )
    small = {file.path: (folder / file.path).read_bytes() for file in metadata_wanted(listing.files)}
    headers = {
        path: read_safetensors(RangeReader.from_path(folder / path)) for path in headers_wanted(listing)
    }
    (model,) = introspect(listing, Metadata(files=small, headers=headers)).models
    variant = model.variants[0]
    return Bundle(model, variant, {part.name: folder for part in variant.components})


def copy(folder: Path) -> Path:
    """The zoo's chat model, to change."""
    return Path(shutil.copytree(CHAT, folder / "chat"))


def change(path: Path, **fields: object) -> None:
    """Set fields of a JSON object."""
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def embed(subject: Subject, *texts: str, host: str = "thread", **params: Any) -> Any:
    """The vectors that a model gives."""
    instance = subject.load(host)
    try:
        result = instance.infer(embed_request(texts, **params), Call())
        assert isinstance(result, EmbedResult)
        return result.vectors
    finally:
        instance.close()


def unit(rows: Any) -> Any:
    """Rows of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def with_modules(folder: Path, *kinds: str) -> Path:
    """The zoo's embedder with these steps, each in a folder of its own."""
    build_embed(folder)
    paths = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds[1:], 1))]
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": PARTS + kind}
        for number, (kind, path) in enumerate(zip(kinds, paths, strict=True))
    ]
    write_json(folder / "modules.json", modules)
    return folder


def dense(folder: Path, *, out: int = 16, bias: bool = True, **config: Any) -> tuple[Any, Any]:
    """A dense layer in the folder, and its numbers."""
    from safetensors.numpy import save_file

    rng = np.random.default_rng(7)
    weight = rng.normal(size=(out, 128)).astype(np.float32)
    added = rng.normal(size=out).astype(np.float32)
    tensors = {"linear.weight": weight} | ({"linear.bias": added} if bias else {})
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "config.json", {"in_features": 128, "out_features": out, "bias": bias, **config})
    return weight, added if bias else 0 * added
