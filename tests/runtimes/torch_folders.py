"""Folders as they are pulled of repositories for transformers, and bundles of them. Imports no PyTorch."""

import json
import shutil
from pathlib import Path

from modelhub.facts import RepoFile, RepoId, RepoListing
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

CHAT = Path(__file__).parents[1] / "zoo" / "chat"


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
    small = {file.path: (folder / file.path).read_bytes() for file in metadata_wanted(listing)}
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
