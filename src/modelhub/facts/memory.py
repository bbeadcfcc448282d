"""How much memory something would take, as arithmetic, and what the figures rest on."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes
from modelhub.facts.model import Model, Variant
from modelhub.facts.repo import FileKind

__all__ = ["TENSOR_BYTES", "MemoryNeed", "MemoryPart", "MemoryTier", "weights_part"]

TENSOR_BYTES = "tensor_bytes"
"""Where `Model.details` has the bytes of the tensors of a file, by its path, as its header counts them."""

_WHOLE = "total"
"""The one part of a figure that is no sum."""


class MemoryTier(StrEnum):
    """What a prediction rests on."""

    RUNTIME = "runtime"
    """The runtime gives a figure of its own."""
    HEADER = "header"
    """The headers of the weights: the weights are exact, and so is the cache."""
    SIZE = "size"
    """The sizes of the files, and what is known besides."""


_SAID = {
    MemoryTier.RUNTIME: "as the runtime says",
    MemoryTier.HEADER: "by the weights' headers",
    MemoryTier.SIZE: "by the files' sizes",
}


class MemoryPart(Fact):
    """One term: `weights`, `cache`, `compute` (what is worked with) or `overhead`. `sum` says how it is made."""

    name: str
    bytes: Annotated[int, Field(ge=0)]
    sum: str = ""

    def __str__(self) -> str:
        return f"{self.name} {human_bytes(self.bytes)}" + (f" ({self.sum})" if self.sum else "")


class MemoryNeed(SummedFact):
    """What a loaded variant takes, in bytes; it prints as a sum."""

    tier: MemoryTier
    parts: tuple[MemoryPart, ...]

    @classmethod
    def whole(cls, total: int, tier: MemoryTier = MemoryTier.RUNTIME) -> "MemoryNeed":
        """A figure without parts."""
        return cls(tier=tier, parts=(MemoryPart(name=_WHOLE, bytes=total),))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        """All parts together."""
        return sum(part.bytes for part in self.parts)

    def of(self, name: str) -> int:
        """The bytes of a part; 0 for one that there is not."""
        return sum(part.bytes for part in self.parts if part.name == name)

    def __str__(self) -> str:
        if [part.name for part in self.parts] == [_WHOLE]:
            return f"{human_bytes(self.total)}, {_SAID[self.tier]}"
        sums = " + ".join(map(str, self.parts))
        return f"{human_bytes(self.total)} = {sums}, {_SAID[self.tier]}"


def weights_part(model: Model, variant: Variant) -> tuple[MemoryPart, MemoryTier]:
    """The weights: the tensors as their headers count them, else the files as they are."""
    known = model.details.get(TENSOR_BYTES)
    table = known if isinstance(known, dict) else {}
    files = [file for _, file in variant.files()]
    counted = [size for file in files if isinstance(size := table.get(file.path), int)]
    every = all(file.path in table for file in files if file.kind is FileKind.MODEL)
    if counted and every:
        return MemoryPart(name="weights", bytes=sum(counted)), MemoryTier.HEADER
    return MemoryPart(name="weights", bytes=variant.bytes, sum="files"), MemoryTier.SIZE
