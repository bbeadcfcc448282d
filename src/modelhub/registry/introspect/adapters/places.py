"""Where adapters are in a repository, by file names and by what its card claims.

Names: `peft.utils` CONFIG_NAME, SAFETENSORS_WEIGHTS_NAME, WEIGHTS_NAME; `diffusers.loaders.lora_base`
LORA_WEIGHT_NAME_SAFE.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from modelhub.facts import RepoFile, RepoListing
from modelhub.registry.introspect.weights import (
    DIFFUSERS,
    PICKLED,
    SAFE,
    TRANSFORMERS,
    inside,
    is_weights,
)

__all__ = ["CONFIG", "Place", "find_places", "holds_whole_model"]

CONFIG = "adapter_config.json"
TAG = "base_model:adapter:"
MAX_ADAPTERS = 64

_WEIGHTS = (("adapter_model.safetensors", SAFE), ("adapter_model.bin", PICKLED))
_NAMES = frozenset(name for name, _ in _WEIGHTS)
_CHECKPOINT = re.compile(r"(?:.*/)?checkpoint-\d+")
_TAGS = frozenset(["lora", "peft", "template:sd-lora", "template:diffusion-lora"])


@dataclass(frozen=True, slots=True)
class Place:
    """An adapter: its weights, their format, and its `adapter_config.json` if it has one."""

    weights: RepoFile
    format: str
    config: RepoFile | None = None

    @property
    def folder(self) -> str:
        """Where it is, `""` being the root."""
        return self.weights.path.folder


def find_places(listing: RepoListing) -> tuple[Place, ...]:
    """The adapters that file names show, those near the root first.

    A file without a configuration beside it may be one for diffusers, if the card or a name says so; its
    header tells. What training left on the way (`checkpoint-500/`) is none beside
    the adapter that it became.
    """
    known = listing.by_path
    folders = [file.path.folder for file in listing.files if file.path.name == CONFIG]
    found = [place for folder in folders if (place := _with_config(known, folder))]
    if any(not place.folder for place in found):
        found = [place for place in found if not _CHECKPOINT.fullmatch(place.folder)]
    else:
        found += [Place(file, SAFE) for file in _claimed(listing)]
    found.sort(key=lambda place: (place.folder.count("/"), place.weights.path))
    return tuple(found[:MAX_ADAPTERS])


def holds_whole_model(listing: RepoListing) -> bool:
    """Whether it has a model of its own too: then adapters are something that is added to that."""
    paths = [file.path for file in listing.files]
    return any(
        path in ("model_index.json", "modular_model_index.json")
        or path.suffix in (".gguf", ".onnx")
        or (not path.folder and is_weights(path, TRANSFORMERS))
        for path in paths
    )


def _claimed(listing: RepoListing) -> Iterable[RepoFile]:
    """The files that are said to be adapters: at the root by tags all of them, else by a name, the file's own
    or that of a folder around it.
    """
    tags = [tag.lower() for tag in listing.tags]
    tagged = bool(_TAGS.intersection(tags)) or any(tag.startswith(TAG) for tag in tags)
    return (
        file
        for file in _loose(listing)
        if "lora" in file.path.lower() or (tagged and not file.path.folder)
    )


def _with_config(known: Mapping[str, RepoFile], folder: str) -> Place | None:
    for name, kind in _WEIGHTS:
        if weights := known.get(inside(folder, name)):
            return Place(weights, kind, known.get(inside(folder, CONFIG)))
    return None


def _loose(listing: RepoListing) -> Iterable[RepoFile]:
    for file in listing.files:
        path = file.path
        others = path.name in _NAMES or is_weights(path, TRANSFORMERS) or is_weights(path, DIFFUSERS)
        if path.suffix == ".safetensors" and not others:
            yield file
