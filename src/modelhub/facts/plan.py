"""What a call would do, before it does anything."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes, table
from modelhub.facts.memory import MemoryNeed
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


def to_fetch(files: Iterable[PlannedFile]) -> tuple[PlannedFile, ...]:
    """Those that have to come. Of several with the same content the first one does: it moves once."""
    absent = (file for file in files if not file.present)
    firsts: dict[object, PlannedFile] = {}
    for file in absent:
        firsts.setdefault(file.sha256 or (file.repo, file.path), file)
    return tuple(firsts.values())


class PlannedPart(Fact):
    """The files of one component from one repository, in bytes: all, those to fetch, and the others: what
    is in the store, or comes with another file of the plan that is the same.
    """

    component: str
    repo: str
    bytes: int
    fetch_bytes: int
    reuse_bytes: int


class PassedBy(StrEnum):
    """Why a variant was not taken."""

    DOES_NOT_FIT = "does_not_fit"
    NO_RUNTIME = "no_runtime"
    LICENSE = "license"
    NEEDS_CODE = "needs_code"
    NOT_PREFERRED = "not_preferred"


class Passed(Fact):
    """A variant that is better than the chosen one, or more wished for, and why it was not taken.

    `needed` and `free` are bytes of memory, where it does not fit.
    """

    variant: str
    format: str
    precision: str | None
    bytes: int
    reason: PassedBy
    text: str
    needed: int | None = None
    free: int | None = None


class Plan(SummedFact):
    """Which variant would run where, what must be fetched for it, and why.

    A plan is a value even when nothing can run it: then `runtime` is `None` and `steps` says what
    to do. `need` is the predicted memory and `memory_free` what the device has, in bytes. `passed` are
    the better variants, best quality first. `disk_needed` is what fetching and linking add to the
    store's file system, of which `disk_free` bytes are free (`None`: it does not say).
    """

    repo: str
    commit: Commit
    task: str
    model: Model
    choice: Variant
    runtime: str | None
    device: str
    need: MemoryNeed
    memory_free: int
    fits: bool
    files: tuple[PlannedFile, ...]
    passed: tuple[Passed, ...] = ()
    disk_needed: int = 0
    disk_free: int | None = None
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
    def memory(self) -> int:
        """Bytes of memory that it is predicted to take."""
        return self.need.total

    @computed_field  # type: ignore[prop-decorator]
    @property
    def parts(self) -> tuple[PlannedPart, ...]:
        """The files by component and repository."""
        groups: dict[tuple[str, str], list[PlannedFile]] = {}
        for file in self.files:
            groups.setdefault((file.component, file.repo), []).append(file)
        moving = {id(file) for file in to_fetch(self.files)}
        return tuple(
            _part(*key, sum(f.size for f in files), sum(f.size for f in files if id(f) in moving))
            for key, files in groups.items()
        )

    @computed_field  # type: ignore[prop-decorator]
    @property
    def fetch_bytes(self) -> int:
        """Bytes that would move over the network. The same content moves once, under whatever paths."""
        return sum(file.size for file in to_fetch(self.files))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def reuse_bytes(self) -> int:
        """Bytes that need not move: they are in the store, or the same as others that come."""
        return sum(file.size for file in self.files) - self.fetch_bytes

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
            f"         {self.need}",
            f"fetch    {human_bytes(self.fetch_bytes)}, reuse {human_bytes(self.reuse_bytes)}",
            f"disk     {human_bytes(self.disk_needed)}"
            + ("" if self.disk_free is None else f" of {human_bytes(self.disk_free)} free"),
        ]
        lines += [f"why      {reason}" for reason in self.why]
        lines += [f"! {warning.code}: {warning.text}" for warning in self.warnings]
        lines += [f"{index}. {step}" for index, step in enumerate(self.steps, 1)]
        rows = [
            (
                each.component,
                *map(human_bytes, (each.bytes, each.fetch_bytes, each.reuse_bytes)),
                each.repo,
            )
            for each in self.parts
        ]
        return "\n".join([*lines, table(("component", "size", "fetch", "reuse", "repository"), rows)])

    def file_table(self) -> str:
        """Every file, whether it is here or has to come."""
        rows = [
            (file.component, file.path, human_bytes(file.size), "here" if file.present else "fetch")
            for file in self.files
        ]
        return table(("component", "file", "size", "state"), rows)


def _part(component: str, repo: str, size: int, moving: int) -> PlannedPart:
    return PlannedPart(
        component=component, repo=repo, bytes=size, fetch_bytes=moving, reuse_bytes=size - moving
    )
