"""What requests and results of every task have in common."""

from typing import Any, TypeVar

from pydantic import ValidationError

from modelhub.errors import InvalidInput
from modelhub.facts import Fact, Provenance


class Request(Fact):
    """What a runtime is asked to do: checked, frozen, free of paths and addresses."""


class Result(Fact):
    """What a runtime answered. `provenance` is filled in by the Hub that asked."""

    provenance: Provenance | None = None


R = TypeVar("R", bound=Fact)


def build_request(kind: type[R], /, **fields: Any) -> R:
    """A checked request, or a runtime's options.

    Raises:
        InvalidInput: naming the first field that is wrong, what came and what would do.
    """
    try:
        return kind(**fields)
    except ValidationError as error:
        raise _explain(error, kind) from None


def _explain(error: ValidationError, kind: type[Fact]) -> InvalidInput:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "request"
    names = ", ".join(name for name in kind.model_fields if name != "messages")
    if first["type"] == "extra_forbidden":
        return InvalidInput(
            f"unknown parameter {field!r}", hint=f"Parameters are: {names}.", field=field
        )
    came = "" if first["type"] == "missing" else f", not {first['input']!r:.80}"
    return InvalidInput(f"{field}: {_reason(first['msg'])}{came}", hint=_hint(kind, field), field=field)


def _reason(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if message.startswith("Input") else message


def _hint(kind: type[Fact], field: str) -> str:
    info = kind.model_fields.get(field.partition(".")[0])
    return info.description or "" if info else ""
