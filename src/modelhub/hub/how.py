"""How a verb is to be served: what every verb takes besides its input and its own parameters."""

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypedDict

from modelhub.errors import InvalidInput
from modelhub.facts import ProgressCallback
from modelhub.hub.pickles import Trust, read_trust
from modelhub.planner import nearest
from modelhub.refs import Digest, ModelRef, Precision
from modelhub.tasks import ChatRequest, EmbedRequest, FormatInput, Request

Model = str | os.PathLike[str] | ModelRef
Shown = bool | ProgressCallback | None


DEFAULT_MODELS: Mapping[str, str] = {
    "text-generation": "Qwen/Qwen3-0.6B-GGUF",
    "feature-extraction": "Qwen/Qwen3-Embedding-0.6B-GGUF",
}
"""What a verb takes when its model is `None`, by task."""

REQUESTS: Mapping[str, type[Request]] = {
    "text-generation": ChatRequest,
    "feature-extraction": EmbedRequest,
}
"""What each task is asked with."""


class Common(TypedDict, total=False):
    """Keyword arguments of every verb.

    `variant`, `runtime` and `device` overrule the plan's choice; `timeout` is in seconds, loading
    and fetching included; `options` go to the runtime (`n_ctx` …); `progress` shows long work. `trust`
    names pickles by their SHA-256 that may run code (docs/how-to/pickles.md).
    """

    variant: str | None
    runtime: str | None
    device: str | None
    timeout: float | None
    options: Mapping[str, Any] | None
    progress: Shown
    trust: Trust | None


class ChatParams(Common, total=False):
    """Keyword arguments of `chat`; see `modelhub.tasks.ChatRequest`."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    stop: str | tuple[str, ...] | list[str] | None
    response_format: FormatInput


class EmbedParams(Common, total=False):
    """Keyword arguments of `embed`; see `modelhub.tasks.EmbedRequest`."""

    normalize: bool | None
    truncate: bool
    prompt_name: str | None


@dataclass(frozen=True, slots=True)
class How:
    """The common arguments, complete."""

    variant: str | None = None
    runtime: str | None = None
    device: str | None = None
    timeout: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Shown = None
    trust: frozenset[Digest] = frozenset()

    @classmethod
    def take(cls, params: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """The common arguments of `params`, and the rest."""
        names = {item.name for item in fields(cls)}
        common = {name: value for name, value in params.items() if name in names and value is not None}
        for name in ("variant", "runtime", "device"):
            _check(name, common.get(name, ""), str, "a name")
        _check("options", common.get("options", {}), Mapping, "a mapping such as {'n_ctx': 4096}")
        if "trust" in common:
            common["trust"] = read_trust(common["trust"])
        return cls(**common), {name: value for name, value in params.items() if name not in names}

    @classmethod
    def only(cls, params: Mapping[str, Any]) -> Self:
        """The common arguments, where nothing else may be given.

        Raises:
            InvalidInput
        """
        how, unknown = cls.take(params)
        for name in unknown:
            known = ", ".join(item.name for item in fields(cls))
            raise InvalidInput(
                f"unknown parameter {name!r}", hint=f"Parameters are: {known}.", field=name
            )
        return how


def _check(name: str, value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise InvalidInput(
            f"{name} must be {what}, not {value!r:.60}", hint="Or leave it out.", field=name
        )


def default_model(task: str) -> str:
    """The model that a verb takes when its own is `None`.

    Raises:
        InvalidInput: for a task without one.
    """
    if task not in DEFAULT_MODELS:
        raise InvalidInput(f"{task} has no default model", hint="Name a model.", field="model")
    return DEFAULT_MODELS[task]


def check_request(task: str, request: Request) -> None:
    """Refuse a request of another task's kind before anything is done.

    Raises:
        InvalidInput
    """
    kind = REQUESTS.get(task)
    if kind is not None and not isinstance(request, kind):
        raise InvalidInput(
            f"{task} takes a {kind.__name__}, not a {type(request).__name__}",
            hint="Make one with the functions of modelhub.tasks.",
            field="request",
        )


def each(values: Iterable[str] | None, read: Callable[[str], str]) -> tuple[str, ...] | None:
    """What `read` makes of each; `None` of `None`."""
    return None if values is None else tuple(map(read, values))


def check_precision(field: str, text: str) -> Precision:
    """The precision that `text` names.

    Raises:
        InvalidInput: with those most like it.
    """
    if (precision := Precision.parse(text)) is None:
        names = ", ".join(nearest(text.lower(), Precision)[:8])
        raise InvalidInput(
            f"{field}: unknown precision {text!r:.40}", hint=f"Such as {names}.", field=field
        )
    return precision
