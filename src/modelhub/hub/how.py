"""How a verb is to be served: what every verb takes besides its input and its own parameters."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypedDict

from modelhub.facts import ProgressCallback
from modelhub.refs import ModelRef

Model = str | os.PathLike[str] | ModelRef
Shown = bool | ProgressCallback | None


class Common(TypedDict, total=False):
    """Keyword arguments of every verb.

    `variant`, `runtime` and `device` overrule the plan's choice; `timeout` is in seconds, loading
    and fetching included; `options` go to the runtime (`n_ctx` …); `progress` shows long work.
    """

    variant: str | None
    runtime: str | None
    device: str | None
    timeout: float | None
    options: Mapping[str, Any] | None
    progress: Shown


class ChatParams(Common, total=False):
    """Keyword arguments of `chat`; see `modelhub.tasks.ChatRequest`."""

    max_tokens: int | None
    temperature: float | None
    top_p: float | None
    top_k: int | None
    seed: int | None
    stop: str | tuple[str, ...] | list[str] | None


@dataclass(frozen=True, slots=True)
class How:
    """The common arguments, complete."""

    variant: str | None = None
    runtime: str | None = None
    device: str | None = None
    timeout: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: Shown = None

    @classmethod
    def take(cls, params: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """The common arguments of `params`, and the rest."""
        names = {item.name for item in fields(cls)}
        common = {name: value for name, value in params.items() if name in names}
        if common.get("options") is None:
            common.pop("options", None)
        return cls(**common), {name: value for name, value in params.items() if name not in names}
