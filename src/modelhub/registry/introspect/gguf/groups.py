"""Which GGUF files are one quantization, and which quantizations are one model: by their names."""

from dataclasses import dataclass

from modelhub.facts import RepoFile, RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect.weight_names import WeightName, read_name, role_by_name

__all__ = ["Weights", "gguf_files", "group_by_model"]


@dataclass(frozen=True, slots=True)
class Weights:
    """One quantization of one model: its shards in order."""

    name: WeightName
    files: tuple[RepoFile, ...]
    missing: tuple[int, ...]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def first(self) -> RepoPath:
        return self.files[0].path


def gguf_files(listing: RepoListing, *, role: str | None = None) -> list[RepoFile]:
    """The GGUF files whose names say that they have this role; without one, models."""
    files = (file for file in listing.files if file.path.suffix == ".gguf")
    return sorted((f for f in files if role_by_name(f.path) == role), key=lambda file: file.path)


def group_by_model(listing: RepoListing) -> dict[tuple[str, str], list[Weights]]:
    """The weights by folder and name of their model, in the order of their paths."""
    series: dict[str, dict[int, tuple[WeightName, RepoFile]]] = {}
    for file in gguf_files(listing):
        name = read_name(file.path)
        series.setdefault(name.series, {})[name.shard] = (name, file)
    models: dict[tuple[str, str], list[Weights]] = {}
    for shards in series.values():
        weights = _weights(shards)
        models.setdefault((weights.name.folder, weights.name.model), []).append(weights)
    return models


def _weights(shards: dict[int, tuple[WeightName, RepoFile]]) -> Weights:
    name = next(iter(shards.values()))[0]
    wanted = range(1, name.shards + 1)
    missing = tuple(number for number in wanted if number not in shards)
    here = [file for number, (_, file) in sorted(shards.items()) if missing or number in wanted]
    return Weights(name, tuple(here), missing)
