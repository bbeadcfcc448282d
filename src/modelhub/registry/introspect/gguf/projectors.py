"""Which projector goes with which weights: what makes tokens of images or sound, in a file of its own.

Chosen as llama.cpp does where it fetches one by itself (`ggml-org/llama.cpp: common/download.cpp`,
`find_best_sibling`): of those in the folder of the weights or above it the nearest, then the one
whose precision has about as many bits as the weights'. What a header of one says:
`tools/mtmd/clip-impl.h` there.
"""

import re
from collections.abc import Iterable, Sequence

from modelhub.facts import RepoFile, RepoListing
from modelhub.formats import GGUFHeader
from modelhub.registry.introspect.gguf.groups import Weights, gguf_files, group_by_model
from modelhub.registry.introspect.weight_names import read_name

__all__ = [
    "MAX_PROJECTORS",
    "PROJECTOR",
    "best_projector",
    "choose_projectors",
    "modalities",
    "projector_types",
]

PROJECTOR = "projector"
MAX_PROJECTORS = 64
"""Each is compared with each of the weights."""

_WORDS = re.compile(r"(?:^|[-._])mmproj(?=$|[-._])")
_NUMBER = re.compile(r"\d+")
_GENERIC = frozenset(["", "model"])
_ENCODERS = {"image": "clip.has_vision_encoder", "audio": "clip.has_audio_encoder"}
_TYPES = ("clip.projector_type", "clip.vision.projector_type", "clip.audio.projector_type")


def choose_projectors(listing: RepoListing) -> tuple[RepoFile, ...]:
    """Those, by their names, that go with some weights of the repository."""
    files = gguf_files(listing, role=PROJECTOR)[:MAX_PROJECTORS]
    groups = group_by_model(listing)
    names = {model for _, model in groups}
    found = (best_projector(files, each, names) for weights in groups.values() for each in weights)
    return tuple(dict.fromkeys(file for file in found if file))


def best_projector(
    files: Sequence[RepoFile], weights: Weights, models: Iterable[str]
) -> RepoFile | None:
    """The projector for these weights in a repository with `models`; `None` where none is for them."""
    owners = {file.path: _owner(file) for file in files}
    here = weights.name.model
    own = [file for file in files if owners[file.path] == here]
    others = set(models) - {here}
    fit = own or [file for file in files if owners[file.path] not in others]
    near = [file for file in fit if _is_above(file.path.folder, weights.first.folder)]
    bits = _bits(weights.name.tag)
    return min(
        near,
        key=lambda file: (
            -len(file.path.folder),
            abs(_bits(read_name(file.path).tag) - bits),
            file.path,
        ),
        default=None,
    )


def modalities(header: GGUFHeader) -> tuple[str, ...]:
    """What the projector takes besides text: `image`, `audio`."""
    return tuple(name for name, key in _ENCODERS.items() if header.metadata.get(key) is True)


def projector_types(header: GGUFHeader) -> tuple[str, ...]:
    """llama.cpp's names for how it does that."""
    found = (header.text(key) for key in _TYPES)
    return tuple(dict.fromkeys(name for name in found if name and re.fullmatch(r"[\w.-]{1,64}", name)))


def _owner(file: RepoFile) -> str:
    """The model that the projector's name names; `""` where it names none."""
    bare = _WORDS.sub("", read_name(file.path).model).strip("-._")
    return "" if bare in _GENERIC else bare


def _is_above(folder: str, below: str) -> bool:
    return not folder or below == folder or below.startswith(f"{folder}/")


def _bits(tag: str) -> int:
    number = _NUMBER.search(tag)
    return int(number[0]) if number else 0
