"""What a recipe is: which repositories it is for, and what it states of their files. Strict and bounded."""

from datetime import date
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from modelhub.refs import Digest, Precision
from modelhub.registry.introspect.recipes.patterns import read_pattern
from modelhub.tasks import TASKS, find_task

__all__ = ["Component", "Config", "Details", "License", "Match", "Recipe", "RecipeModel", "Source"]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


def _pattern(text: str) -> str:
    read_pattern(text)
    return text


def _repository(text: str) -> str:
    if text.count("/") > 1 or read_pattern(text).names:
        raise ValueError("must be vendor/name, of which * and ? may be parts")
    return text


def _file(text: str) -> str:
    if text.startswith("/") or ".." in text.split("/"):
        raise ValueError("must be a path inside of the repository")
    return text


def _precision(text: str) -> str:
    found = Precision.parse(text)
    if found is None:
        raise ValueError(f"must be a precision, such as {', '.join(list(Precision)[:6])}")
    return found.value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,63}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_printable)]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(_printable)]
Address = Annotated[Text, StringConstraints(pattern=r"^https://[^\s/]+/")]
FilePattern = Annotated[str, AfterValidator(_pattern), AfterValidator(_file)]
RepositoryPattern = Annotated[str, AfterValidator(_repository)]
PrecisionName = Annotated[str, AfterValidator(_precision)]
Template = Annotated[str, StringConstraints(pattern=r"^(?:[A-Za-z0-9._+-]|\{model\}){1,96}$")]
Length = Annotated[int, Field(ge=1, le=1 << 16)]
Channels = Annotated[tuple[float, ...], Field(min_length=1, max_length=4)]


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, protected_namespaces=(), hide_input_in_errors=True
    )


class Source(_Part):
    """What the recipe rests on: a public address, and the day on which it was read."""

    address: Address
    seen: date


class License(_Part):
    """The licence of the files that it describes, and the public address where it stands."""

    name: Label
    address: Address


class Warned(_Part):
    """A warning for whoever uses the repository; `code` as in docs/reference/warnings.md."""

    code: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+(?:\.[a-z0-9_]+)*$", max_length=64)]
    text: Text


class Config(_Part):
    """A condition on a JSON file: that `key` stands in it, and where `values` are given, as one of them."""

    file: FilePattern
    key: Label
    values: Annotated[tuple[Text, ...], Field(max_length=64)] = ()


class Match(_Part):
    """All that is given must hold: a repository, files that are there or are not, hashes, configurations.

    `repositories`: one of them. `files`: each is there. `without`: none is there. `sha256`: a file of one
    of these hashes is there. `config`: each condition holds.
    """

    repositories: Annotated[tuple[RepositoryPattern, ...], Field(max_length=256)] = ()
    files: Annotated[tuple[FilePattern, ...], Field(max_length=16)] = ()
    without: Annotated[tuple[FilePattern, ...], Field(max_length=16)] = ()
    sha256: Annotated[tuple[Digest, ...], Field(max_length=256)] = ()
    config: Annotated[tuple[Config, ...], Field(max_length=8)] = ()

    @model_validator(mode="after")
    def _says_which(self) -> "Match":
        if not (self.repositories or self.files or self.sha256):
            raise ValueError("must name repositories, files or sha256: else it is for everything")
        return self


class Component(_Part):
    """The files of one part of a variant, and what they are where no header and no name says it.

    `format` is by the suffix where it is left out: `safetensors onnx gguf`, `pytorch` for pickles.
    """

    files: Annotated[tuple[FilePattern, ...], Field(min_length=1, max_length=32)]
    format: Word | None = None
    precision: PrecisionName | None = None
    optional: bool = False


class Details(_Part):
    """What a runtime needs before and after the model. A pixel becomes `(value * scale - mean) / std`."""

    input_height: Length | None = None
    input_width: Length | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    resize: Literal["stretch", "letterbox"] | None = None
    pad_value: Annotated[int, Field(ge=0, le=255)] | None = None
    pad_multiple: Length | None = None
    scale: float | None = None
    mean: Channels | None = None
    std: Channels | None = None
    labels: Annotated[tuple[Label, ...], Field(max_length=4096)] | None = None
    decoder: Word | None = None
    stage: Word | None = None
    scale_factor: Annotated[int, Field(ge=1, le=64)] | None = None
    sampling_rate: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    frame_rate: Annotated[float, Field(gt=0, le=1000)] | None = None


class RecipeModel(_Part):
    """A model: what it is for, and the files of its components, the first of which has its main weights.

    Where patterns of the first component have `{model}`, there is a model for each text that stands there;
    where they have `{variant}` or `{precision}`, or files of several formats, a variant for each. `name` is
    the repository's name, or what stands for `{model}`, where it is left out.
    """

    name: Template | None = None
    task: str
    subtask: str | None = None
    architecture: Label | None = None
    components: Annotated[dict[Word, Component], Field(min_length=1, max_length=16)]
    details: Details = Details()

    @model_validator(mode="after")
    def _known_task(self) -> "RecipeModel":
        # A task that only stands with a subtask in the table still is one without it.
        known = {(task.id, subtask) for task in TASKS for subtask in (task.subtask, None)}
        if (self.task, self.subtask) not in known:
            came = _named_task(self.task, self.subtask)[:80]
            names = sorted({_named_task(task.id, task.subtask) for task in TASKS})
            near = get_close_matches(came, names, n=5, cutoff=0.0)
            raise ValueError(f"{came!r} is no task that modelhub knows; nearest are {', '.join(near)}")
        if "{model}" in (self.name or "") and not all(self._named()):
            raise ValueError("name has {model}, which not all patterns of the first component have")
        return self

    def _named(self) -> list[bool]:
        return ["model" in read_pattern(text).names for text in self.main.files]

    @property
    def main(self) -> Component:
        """The component with its main weights."""
        return next(iter(self.components.values()))

    @property
    def category(self) -> str:
        """`llm`, `vision`, `audio`, `image` or `video`."""
        return find_task(self.subtask or self.task).category

    @property
    def stated(self) -> dict[str, Any]:
        """Its details, those that are given."""
        return self.details.model_dump(mode="json", exclude_none=True)


def _named_task(task: str, subtask: str | None) -> str:
    return f"{task} with subtask {subtask}" if subtask else task


class Recipe(_Part):
    """What is known of repositories that describe themselves badly, and what that rests on.

    It is for a repository for which one of `match` holds.
    """

    name: Name
    source: Source
    match: Annotated[tuple[Match, ...], Field(min_length=1, max_length=16)]
    models: Annotated[tuple[RecipeModel, ...], Field(max_length=32)] = ()
    license: License | None = None
    warnings: Annotated[tuple[Warned, ...], Field(max_length=8)] = ()

    @property
    def evidence(self) -> str:
        """What its statements rest on, as evidence says it."""
        return f"recipe: {self.name} ({self.source.address})"
