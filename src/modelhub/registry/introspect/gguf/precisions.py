"""How precise a GGUF file is: by its name, by what its header states, by its tensors."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelhub.formats import GGUFHeader, GGUFTable
from modelhub.formats.ggml import FILE_TYPES
from modelhub.refs import Precision
from modelhub.registry.introspect.base import FROM_HEADER, FROM_NAME
from modelhub.registry.introspect.weight_names import WeightName

__all__ = ["PrecisionFinding", "find_precision"]

_STATED = frozenset(FILE_TYPES.values())


@dataclass(frozen=True, slots=True)
class PrecisionFinding:
    """What the file's name, `general.file_type` and the tensors' types say, each if it does."""

    named: Precision | None
    exact: bool
    stated: Precision | None
    mix: Precision | None

    @property
    def precision(self) -> Precision | None:
        """The header's, where name and header contradict each other; else whichever says more."""
        by_header = self._by_header
        if self.named is None or by_header is None:
            return self.named or by_header
        return self.named if self._says_more else by_header

    @property
    def contradiction(self) -> tuple[Precision, Precision] | None:
        """What the name says and what is so, where the two are not one."""
        named, found = self.named, self.precision
        if not self.exact or named is None or found is None or named in (found, _base(found)):
            return None
        return named, found

    def rows(self) -> Iterator[tuple[Precision, str, int]]:
        """Each that says something: what, by what, and how far that is trusted."""
        said = (
            (self.named, "file name", FROM_NAME),
            (self.stated, "general.file_type", FROM_HEADER),
            (self.mix, "tensor types", FROM_HEADER),
        )
        for value, source, trust in said:
            if value is not None:
                yield value, source, trust

    @property
    def _by_header(self) -> Precision | None:
        """Of the two that a header says, the one that the file's name says too."""
        if self.stated and self.mix and _base(self.stated) != _base(self.mix):
            return self.mix if self.mix == self.named else self.stated
        return self.stated or self.mix

    @property
    def _says_more(self) -> bool:
        """Whether the name is of the same base and says what the header cannot.

        There are no numbers for `Q4_K_L` and its like, and anyone may have a mix of their own.
        """
        named, found = self.named, self._by_header
        if named is None or found is None or not self.exact or _base(named) != _base(found):
            return False
        return self.stated is None or (named not in _STATED and named != _base(named))


def find_precision(name: WeightName, header: GGUFHeader | GGUFTable | None) -> PrecisionFinding:
    """How precise the file of this name and header is."""
    return PrecisionFinding(
        named=name.precision,
        exact=name.exact,
        stated=header.stated_precision if header else None,
        mix=header.mix if header else None,
    )


def _base(precision: Precision) -> str:
    """`q4_k` of `q4_k_m`; others are their own."""
    whole, _, size = precision.rpartition("_")
    return whole if size in ("s", "m", "l") and whole.endswith("_k") else precision.value
