"""GGUF repositories: which headers are wanted of them.

File names say which files belong together (`weight_names`); the header of one file a model says
what the model is, and the tensor tables of the others how precise they are.
"""

from collections.abc import Iterator
from itertools import islice

from modelhub.facts import RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import Findings, Metadata, Sister
from modelhub.registry.introspect.gguf.description import Description
from modelhub.registry.introspect.gguf.groups import Weights, gguf_files, group_by_model
from modelhub.registry.introspect.gguf.projectors import choose_projectors

__all__ = ["GGUFFamily"]

MAX_SHARDS_READ = 64
MAX_HEADERS = 64
"""Of a repository with more models than this, the rest is known by file names alone."""

MAX_SISTERS = 64
"""How many other quantizations are read for their tensors; the rest is known by file names alone."""


class GGUFFamily:
    """Repositories with GGUF weights, for llama.cpp and what is built on it."""

    name = "gguf"

    def matches(self, listing: RepoListing) -> bool:
        return bool(gguf_files(listing))

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        wanted = [path for main, _ in _mains(listing) for path in _read_whole(main)]
        wanted += [file.path for file in choose_projectors(listing)]
        return tuple(dict.fromkeys(wanted))[:MAX_HEADERS]

    def sisters_wanted(self, listing: RepoListing) -> tuple[Sister, ...]:
        """Of each other quantization the first shard, which has the metadata."""
        whole = set(self.headers_wanted(listing))
        sisters = (
            Sister(each.first, like, shard=len(each.files) > 1)
            for main, others in _mains(listing)
            if whole.issuperset(like := _read_whole(main))
            for each in others
        )
        return tuple(islice(sisters, MAX_SISTERS))

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        return Description(listing, metadata).findings()


def _mains(listing: RepoListing) -> Iterator[tuple[Weights, list[Weights]]]:
    """Of each model the smallest quantization, and the others."""
    for weights in group_by_model(listing).values():
        whole = [each for each in weights if not each.missing]
        if whole:
            main = min(whole, key=lambda each: each.size)
            yield main, [each for each in whole if each is not main]


def _read_whole(weights: Weights) -> tuple[RepoPath, ...]:
    # Only all shards together know how many parameters there are.
    files = weights.files if len(weights.files) <= MAX_SHARDS_READ else weights.files[:1]
    return tuple(file.path for file in files)
