"""What a GGUF file says of itself, as values."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelhub.formats.ggml import FILE_TYPES, GUESSED
from modelhub.formats.gguf.mix import mixed_precision
from modelhub.formats.gguf.tensor import GGUFTensor
from modelhub.refs import Precision

__all__ = ["ArraySummary", "GGUFHeader", "GGUFTensor", "Scalar", "Value"]


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """An array that was walked over: what it holds (`string`, `float32` …) and how many."""

    type: str
    count: int


Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...] | ArraySummary


@dataclass(frozen=True, slots=True)
class GGUFHeader:
    """What a GGUF file says of itself.

    `metadata` has every key; long arrays (a tokenizer's) are an `ArraySummary`. `table_start` and
    `header_bytes` are where the tensor table begins and ends, `data_start` where the tensors begin. Texts may hold anything: a
    stranger wrote them.
    """

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[GGUFTensor, ...]
    alignment: int
    table_start: int
    header_bytes: int
    data_start: int

    @property
    def parameters(self) -> int:
        """Elements of all tensors in this file; of a split model, in this shard."""
        return sum(tensor.elements for tensor in self.tensors)

    @property
    def architecture(self) -> str | None:
        """`general.architecture`: `llama`, `qwen3`, `bert` …"""
        return self.text("general.architecture")

    @property
    def context_length(self) -> int | None:
        """Tokens that the model was made for."""
        return self.hyperparameter("context_length")

    @property
    def chat_template(self) -> str | None:
        """The Jinja source that turns messages into a prompt."""
        return self.text("tokenizer.chat_template")

    @property
    def file_type(self) -> int | None:
        """llama.cpp's number for the mix of tensor types; `None` where it is only guessed."""
        number = self.integer("general.file_type")
        return None if number is None or number & GUESSED else number

    @property
    def precision(self) -> Precision | None:
        """By `file_type`; without one, by the tensors' types."""
        return self.stated_precision or self.mix

    @property
    def stated_precision(self) -> Precision | None:
        """What `file_type` means; `None` where it does not say."""
        return FILE_TYPES.get(-1 if self.file_type is None else self.file_type)

    @property
    def mix(self) -> Precision | None:
        """The precision by the tensors' own types."""
        return mixed_precision(self.tensors)

    @property
    def split_no(self) -> int:
        """Which shard this is, from 0."""
        return self.integer("split.no") or 0

    @property
    def split_count(self) -> int:
        """In how many files the model comes."""
        return self.integer("split.count") or 1

    @property
    def split_tensors(self) -> int | None:
        """How many tensors all shards have together."""
        return self.integer("split.tensors.count")

    def text(self, key: str) -> str | None:
        """A text, or `None` when the key is absent or something else."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        """A whole number that is not negative, or `None`."""
        value = self.metadata.get(key)
        whole = isinstance(value, int) and not isinstance(value, bool)
        return value if whole and isinstance(value, int) and value >= 0 else None

    def hyperparameter(self, name: str) -> int | None:
        """`<architecture>.<name>` as a whole number, or `None`."""
        return self.integer(f"{self.architecture}.{name}")

    def length(self, key: str) -> int | None:
        """How many elements an array has, kept or not; `None` when it is no array."""
        value = self.metadata.get(key)
        if isinstance(value, ArraySummary):
            return value.count
        return len(value) if isinstance(value, tuple) else None
