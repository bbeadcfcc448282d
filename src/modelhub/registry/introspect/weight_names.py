"""What the name of a GGUF file says: model, quantization, shard.

There is no rule, only habits: `Qwen3-0.6B-Q8_0.gguf`, `llama-2-7b.Q4_K_M.gguf`,
`Model.i1-Q4_K_M.gguf`, `UD-Q2_K_XL/Model-UD-Q2_K_XL-00001-of-00003.gguf`, `Phi-3-instruct-q4.gguf`.
Shards are named by llama.cpp's `tools/gguf-split`.
"""

import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache

from modelhub.refs import Precision, RepoPath

__all__ = ["WeightName", "model_name", "plain_name", "read_name", "role_by_name"]

_SHARD = re.compile(r"-(\d{5})-of-(?!00000)(\d{5})\Z")
_QUANTIZATION = re.compile(
    r"(?<![a-z0-9])"
    r"(?:(?P<marker>ud|i1|imat|imatrix)[-._])?"
    r"(?P<number>iq[1-4]_(?:xxs|xs|nl|s|m)|tq[12]_0|q[1-8]_k|q[1-8]_[01]|q[1-8]"
    r"|bf16|fp?(?:16|32|64)|mxfp4|nvfp4)"
    r"(?P<size>_(?:xxs|xs|xl|s|m|l|moe|\d_\d))?"
    r"(?:[-._](?P<after>imat|imatrix))?"
    r"(?![a-z0-9])"
)
_UNFIT = re.compile(r"[^a-z0-9_.+-]+")
_NEAREST = {"q8_k": Precision.Q8_0}
_ROLES = {"mmproj": "projector", "imatrix": "importance matrix"}


@dataclass(frozen=True, slots=True)
class WeightName:
    """What a weight file's name says, all in lower case.

    `model` is the name without quantization and shard, `""` when nothing else is said; `folder` is
    its folder, but for one that is only a quantization's. `tag` is the quantization as it is
    written, `""` without one, and `marked` whether it has a mark before it (`ud-`, `i1-`);
    `precision` is what it means or comes nearest to, `exact` whether it means just that. `shard`
    counts from 1 to `shards`; the shards of one file have one `series`.
    """

    model: str
    folder: str
    tag: str
    marked: bool
    precision: Precision | None
    exact: bool
    series: str
    shard: int = 1
    shards: int = 1


@lru_cache(maxsize=4096)  # a projector is compared with each of the weights
def read_name(path: RepoPath) -> WeightName:
    """What the name of a GGUF file says."""
    stem = path.name[: -len(path.suffix)].lower()
    shard = _SHARD.search(stem)
    stem = _SHARD.sub("", stem)
    model, found = _split(stem)
    above, _, last = path.folder.lower().rpartition("/")
    outer, found_outside = _split(last)
    # A folder that only repeats or completes the file's name says nothing of its own.
    if last and outer in ("", model):
        folder, found = above, found or found_outside
    else:
        folder = path.folder.lower()
    precision, exact = _precision(found)
    return WeightName(
        model=model,
        folder=folder,
        tag=_tag(found),
        marked=bool(_marker(found)),
        precision=precision,
        exact=exact,
        series=f"{path.folder}/{stem}-of-{shard[2]}" if shard else path,
        shard=int(shard[1]) if shard else 1,
        shards=int(shard[2]) if shard else 1,
    )


def model_name(file_name: str) -> str:
    """The name of a weight file's model, such as a tag can spell; `""` when it says none."""
    stem = file_name.lower().removesuffix(".gguf")
    return plain_name(_split(_SHARD.sub("", stem))[0])


def role_by_name(path: RepoPath) -> str | None:
    """What a GGUF file is that is not a model: a projector, an importance matrix, a vocabulary."""
    stem = path.name[: -len(path.suffix)].lower()
    if stem.startswith("ggml-vocab"):
        return "vocabulary"
    words = set(re.split(r"[-._]", stem))
    if "imatrix" in words and _find(stem):
        words.remove("imatrix")  # made with an importance matrix, not one itself
    return next((role for word, role in _ROLES.items() if word in words), None)


def plain_name(text: str) -> str:
    """`text` as a name that a reference's tag can spell: lower case, nothing odd, not too long."""
    return _UNFIT.sub("-", text.lower()).strip("-._+")[:96].strip("-._+")


def _find(stem: str) -> re.Match[str] | None:
    return next(iter(deque(_QUANTIZATION.finditer(stem), maxlen=1)), None)


def _split(stem: str) -> tuple[str, re.Match[str] | None]:
    """A name without its quantization, and the quantization: the last one, as habit has it."""
    found = _find(stem)
    if found is None:
        return stem, None
    before, after = stem[: found.start()].rstrip("-._ "), stem[found.end() :].strip("-._ ")
    return "-".join(filter(None, (before, after))), found


def _tag(found: re.Match[str] | None) -> str:
    if found is None:
        return ""
    return f"{_marker(found)}{found['number']}{found['size'] or ''}"


def _marker(found: re.Match[str] | None) -> str:
    marker = found and (found["marker"] or found["after"])
    return f"{marker}-" if marker else ""


def _precision(found: re.Match[str] | None) -> tuple[Precision | None, bool]:
    if found is None:
        return None, False
    number, size = found["number"], found["size"] or ""
    if precise := Precision.parse(number + size):
        return precise, True
    return _NEAREST.get(number) or Precision.parse(number), False
