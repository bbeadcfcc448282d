"""What is loaded, and how."""

from dataclasses import dataclass
from pathlib import Path

from modelhub.facts import Model


@dataclass(frozen=True, slots=True)
class Loading:
    """What to load, and how. `n_threads` `None` leaves it to llama.cpp.

    `pooling` is how an embedder makes one vector of many, by its name in `Model.details`; `None` is
    for a model that writes. `thinks` when its chat template knows of thoughts.
    """

    model: Model
    files: tuple[Path, ...]
    n_ctx: int
    n_batch: int
    n_threads: int | None
    pooling: str | None = None
    thinks: bool = False
