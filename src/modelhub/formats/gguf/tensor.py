"""A row of a GGUF file's tensor table."""

from dataclasses import dataclass

__all__ = ["GGUFTensor"]


@dataclass(frozen=True, slots=True)
class GGUFTensor:
    """One row of the tensor table.

    `shape` is as ggml stores it, the fastest dimension first; `type` is ggml's name (`Q4_K`);
    `offset` counts bytes from the header's `data_start`; `nbytes` is the tensor's size.
    """

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    nbytes: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        count = 1
        for length in self.shape:
            count *= length
        return count
