"""Which GGUF files are one quantization, and which quantizations are one model: by their names."""

from dataclasses import dataclass
from itertools import islice

from modelhub.facts import RepoFile, RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect.weight_names import WeightName, read_name, role_by_name

__all__ = ["MAX_MODELS", "Weights", "count_models", "gguf_files", "group_by_model"]

MAX_MODELS = 256
MAX_WEIGHTS = 1024
"""Quantizations of all models together, and files of any other role."""
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Weights:
    """One quantization of one model: its shards in order; how many are missing, and the first of these."""

    name: WeightName
    files: tuple[RepoFile, ...]
    missing: int
    first_missing: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def first(self) -> RepoPath:
        return self.files[0].path


def gguf_files(listing: RepoListing, *, role: str | None = None) -> list[RepoFile]:
    """The GGUF files whose names say that they have this role; without one, models.

    Of those with a role the first `MAX_WEIGHTS`.
    """
    files = (file for file in listing.files if file.path.suffix == ".gguf")
    found = sorted((f for f in files if role_by_name(f.path) == role), key=lambda file: file.path)
    return found if role is None else found[:MAX_WEIGHTS]


def count_models(listing: RepoListing) -> int:
    """How many models the names of the files tell apart."""
    names = map(read_name, (file.path for file in gguf_files(listing)))
    return len({(name.folder, name.model) for name in names})


def group_by_model(listing: RepoListing) -> dict[tuple[str, str], list[Weights]]:
    """The weights by folder and name of their model, in the order of their paths.

    The first `MAX_MODELS` models, with the first `MAX_WEIGHTS` quantizations of them together.
    """
    series: dict[str, dict[int, tuple[WeightName, RepoFile]]] = {}
    for file in gguf_files(listing):
        name = read_name(file.path)
        series.setdefault(name.series, {})[name.shard] = (name, file)
    models: dict[tuple[str, str], list[Weights]] = {}
    for shards in islice(series.values(), MAX_WEIGHTS):
        weights = _weights(shards)
        key = weights.name.folder, weights.name.model
        if key in models or len(models) < MAX_MODELS:
            models.setdefault(key, []).append(weights)
    return models


def _weights(shards: dict[int, tuple[WeightName, RepoFile]]) -> Weights:
    name = next(iter(shards.values()))[0]
    wanted = range(1, name.shards + 1)
    # Counted, for a name can claim 99,999 shards, and a thousand files can have such names.
    missing = name.shards - sum(number in wanted for number in shards)
    first = islice((number for number in wanted if number not in shards), SHOWN) if missing else ()
    here = [file for number, (_, file) in sorted(shards.items()) if missing or number in wanted]
    return Weights(name, tuple(here), missing, tuple(first))
