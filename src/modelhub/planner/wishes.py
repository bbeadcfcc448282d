"""What a plan is made of: what the caller wants, what was wished at registration, what runtimes offer."""

from dataclasses import dataclass
from typing import NamedTuple

from modelhub.facts import Device, MemoryNeed, Model, PassedBy, RepoRecord, RuntimeView, Variant
from modelhub.store import LinkChoice

__all__ = ["Blocked", "Offer", "Pair", "Preferences", "Room", "Wish"]

Pair = tuple[Model, Variant]


@dataclass(frozen=True, slots=True)
class Offer:
    """What a runtime says of one variant on one device: can it, and with how much memory."""

    runtime: RuntimeView
    model: Model
    variant: Variant
    device: Device
    ok: bool
    need: MemoryNeed
    reason: str = ""
    loaded: bool = False

    @property
    def memory(self) -> int:
        """Bytes in all."""
        return self.need.total

    @property
    def fits(self) -> bool:
        """What is loaded already fits: the memory that it takes is not free because it has it."""
        return self.loaded or self.memory <= self.device.memory_free


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked for; `None` and `()` leave it to the planner.

    `bound` is the response format that the answer must have, `json_object` or `json_schema`.
    """

    task: str | None = None
    tags: tuple[str, ...] = ()
    variant: str | None = None
    runtime: str | None = None
    bound: str | None = None


@dataclass(frozen=True, slots=True)
class Preferences:
    """What was wished when the repository was registered. What a caller names comes before all of it.

    Among variants that can run and fit, those of `format` come first, then those of `precision`, then
    those of `precisions` in their order, then quality. `tasks` decide where models of several tasks are
    left.
    """

    format: str | None = None
    precision: str | None = None
    precisions: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()

    @classmethod
    def of(cls, record: RepoRecord) -> "Preferences":
        """Those of a registered repository."""
        return cls(
            record.preferred_format,
            record.preferred_precision,
            record.quantization_targets,
            record.task_hints,
        )

    def place(self, variant: Variant) -> tuple[bool, bool, int]:
        """Sorts variants; smaller is more wished for."""
        wanted = self.precisions
        known = variant.precision in wanted
        return (
            self.format is not None and variant.format != self.format,
            self.precision is not None and variant.precision != self.precision,
            wanted.index(str(variant.precision)) if known else len(wanted),
        )

    def names(self, chosen: Variant, other: Variant) -> str:
        """Which of them puts `chosen` before `other`; empty where none does."""
        names = (
            f"preferred_format {self.format}",
            f"preferred_precision {self.precision}",
            f"quantization_targets {', '.join(self.precisions)}",
        )
        for name, mine, others in zip(names, self.place(chosen), self.place(other), strict=True):
            if mine != others:
                return name if mine < others else ""
        return ""


class Blocked(NamedTuple):
    """Why a variant may not be used, whether or not it could be run."""

    reason: PassedBy
    text: str


class Room(NamedTuple):
    """Free bytes of the store's file system; `None` where it does not say. And how large files are linked."""

    free: int | None = None
    link_mode: LinkChoice = "auto"
