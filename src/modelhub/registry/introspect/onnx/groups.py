"""Which ONNX files of a repository are one model, and which of those are one variant of it.

Names of graphs that are parts of one model: `src/models/session.js` of transformers.js and optimum's
`exporters/onnx`. Every other name is that of a model of its own.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from modelhub.facts import RepoFile, RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect.onnx.names import WHOLE, GraphName, is_graph, read_name

__all__ = ["GraphSet", "Group", "find_groups"]

_DECODERS = ("decoder_model", "decoder_with_past_model")
_MERGED = "decoder_model_merged"
_HALVES = ("text_model", "vision_model", "audio_model")
_PARTS = frozenset(
    [
        WHOLE,
        _MERGED,
        *_DECODERS,
        *_HALVES,
        "audio_encoder",
        "conditional_decoder",
        "embed_tokens",
        "encodec_decode",
        "encoder_model",
        "gen_head",
        "gen_img_embeds",
        "image_decode",
        "image_encoder",
        "language_model",
        "lm_head",
        "prepare_inputs_embeds",
        "prompt_encoder_mask_decoder",
        "speech_encoder",
        "text_encoder",
        "vision_encoder",
    ]
)
_MAIN = (_MERGED, "decoder_model", "language_model", WHOLE)
"""The part whose precision is the model's, where it has one of these: most of the work is there."""

Marked = dict[str, tuple[RepoFile, GraphName]]
"""The files of one part by their marks."""


@dataclass(frozen=True, slots=True)
class GraphSet:
    """A variant: the file of each part by the part's name, the main one first.

    `mark` is the precision of the main one as it is written, and `lent` are parts that there are not
    in this precision.
    """

    mark: str
    parts: dict[str, RepoFile]
    names: dict[str, GraphName]
    lent: tuple[str, ...] = ()

    @property
    def main(self) -> str:
        """The name of its main part."""
        return next(iter(self.parts))

    @property
    def path(self) -> RepoPath:
        """The file of its main part."""
        return self.parts[self.main].path

    @property
    def folder(self) -> str:
        """The folder of that file."""
        return self.path.folder


@dataclass
class Group:
    """The files of one model: by folder, part and mark. `graph` is the name that it has alone."""

    base: str
    graph: str
    files: dict[tuple[str, str, str], tuple[RepoFile, GraphName]] = field(default_factory=dict)

    def sets(self) -> list[GraphSet]:
        """Its variants, those without a mark first."""
        folders: dict[str, dict[str, Marked]] = {}
        for (folder, part, mark), found in self.files.items():
            folders.setdefault(folder, {}).setdefault(part, {})[mark] = found
        sets = [each for parts in folders.values() for each in _sets(parts)]
        return sorted(sets, key=lambda each: (each.mark != "", each.mark, each.path))


def find_groups(listing: RepoListing) -> list[Group]:
    """The models of a repository, those of named parts before others, in the order of their paths."""
    groups: dict[tuple[str, str], Group] = {}
    for file in sorted(filter(is_graph, listing.files), key=lambda file: file.path):
        name = read_name(file.path)
        graph = "" if name.graph in _PARTS else name.graph
        group = groups.setdefault((name.base, graph), Group(name.base, graph))
        part = name.graph if name.graph in _PARTS else WHOLE
        folder, mark = file.path.folder, name.mark
        if (folder, part, mark) in group.files:  # `model-fp16` beside `model_fp16`
            mark = file.path.name.lower()
        group.files[folder, part, mark] = file, name
    return sorted(groups.values(), key=lambda group: (group.graph != "", group.base, group.graph))


def _sets(parts: dict[str, Marked]) -> Iterator[GraphSet]:
    """The variants in one folder: one for each mark of the main part."""
    again = _alternatives(parts)
    order = [part for part in parts if part not in again]
    order.sort(key=lambda part: (_rank(part), -_largest(parts[part]), part))
    for mark in parts[order[0]]:
        chosen = {part: parts[part].get(mark) or _lent(parts[part]) for part in order}
        yield GraphSet(
            mark,
            {part: file for part, (file, _) in chosen.items()},
            {part: name for part, (_, name) in chosen.items()},
            tuple(part for part in order if mark not in parts[part]),
        )


def _alternatives(parts: Collection[str]) -> tuple[str, ...]:
    """Parts that do again what others do: both forms of a decoder, halves of a whole."""
    if WHOLE in parts:
        return (*_HALVES, _MERGED, *_DECODERS)
    return _DECODERS if _MERGED in parts else ()


def _rank(part: str) -> int:
    return _MAIN.index(part) if part in _MAIN else len(_MAIN)


def _largest(files: Marked) -> int:
    return max(file.size for file, _ in files.values())


def _lent(files: Marked) -> tuple[RepoFile, GraphName]:
    """What stands in for a part in another precision: the plain one, else the best."""

    def quality(mark: str) -> tuple[bool, int]:
        precision = files[mark][1].precision
        return mark == "", precision.quality if precision else 0

    return files[max(files, key=quality)]
