"""What a call would do, before it does anything."""

from collections.abc import Iterable
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table
from modelhub.facts.model import Component, Model, RepoWarning, Variant
from modelhub.facts.repo import Commit
from modelhub.refs import Digest, RepoPath


class RuntimeView(Fact):
    """What a planner may know of a runtime without touching its engine.

    `usable` is false when its libraries are missing or it cannot run here; `reason` says why and
    `install` is the command that would make it usable. An `explicit` runtime is taken only when a
    caller names it. Components called as in `unused` it does not need.
    """

    name: str
    tasks: tuple[str, ...]
    formats: tuple[str, ...]
    priority: int = 0
    explicit: bool = False
    unused: tuple[str, ...] = ()
    usable: bool = True
    reason: str = ""
    install: str = ""


class PlannedFile(Fact):
    """A file that the plan needs; `present` when its bytes are in the store already.

    `component` is one of the variant's, or `metadata` for the small files that describe the
    repository and go with every variant.
    """

    component: str
    repo: str
    path: RepoPath
    size: int
    sha256: Digest | None
    present: bool


class Plan(SummedFact):
    """Which variant would run where, what must be fetched for it, and why.

    A plan is a value even when nothing can run it: then `runtime` is `None` and `steps` says what
    to do. `memory` is the predicted need and `memory_free` what the device has, in bytes.
    """

    repo: str
    commit: Commit
    task: str
    model: Model
    choice: Variant
    runtime: str | None
    device: str
    memory: int
    memory_free: int
    fits: bool
    files: tuple[PlannedFile, ...]
    why: tuple[str, ...]
    steps: tuple[str, ...]
    warnings: tuple[RepoWarning, ...] = ()

    @computed_field  # type: ignore[prop-decorator]
    @property
    def variant(self) -> str:
        """The chosen variant's name."""
        return self.choice.name

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fetch_bytes(self) -> int:
        """Bytes that would move over the network."""
        return sum(file.size for file in self.files if not file.present)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def reuse_bytes(self) -> int:
        """Bytes that are in the store already."""
        return sum(file.size for file in self.files if file.present)

    @property
    def weights(self) -> tuple[PlannedFile, ...]:
        """The files of the chosen variant's components."""
        names = {part.name for part in self.choice.components}
        return tuple(file for file in self.files if file.component in names)

    @property
    def components(self) -> tuple[Component, ...]:
        """The chosen variant's components."""
        return self.choice.components

    def _brief(self) -> Iterable[tuple[str, Any]]:
        names = ("repo", "task", "variant", "runtime", "device", "fetch_bytes", "reuse_bytes", "fits")
        return ((name, getattr(self, name)) for name in names)

    def __str__(self) -> str:
        lines = [
            f"{self.repo} at {self.commit[:12]}: {self.task}",
            f"run      {self.variant} on {self.runtime or 'no runtime'} ({self.device})",
            f"memory   {human_bytes(self.memory)} of {human_bytes(self.memory_free)} free"
            + ("" if self.fits else ": does not fit"),
            f"fetch    {human_bytes(self.fetch_bytes)}, reuse {human_bytes(self.reuse_bytes)}",
        ]
        lines += [f"why      {reason}" for reason in self.why]
        lines += [f"! {warning.code}: {warning.text}" for warning in self.warnings]
        lines += [f"{index}. {step}" for index, step in enumerate(self.steps, 1)]
        rows = [
            (file.component, file.path, human_bytes(file.size), "here" if file.present else "fetch")
            for file in self.files
        ]
        return "\n".join([*lines, table(("component", "file", "size", "state"), rows)])
