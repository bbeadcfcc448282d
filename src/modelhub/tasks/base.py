"""What requests and results of every task have in common."""

from collections.abc import Sequence
from typing import Any, TypeVar, get_args

from pydantic import BeforeValidator, ValidationError

from modelhub.errors import InvalidInput
from modelhub.facts import Fact, Provenance

R = TypeVar("R", bound=Fact)
T = TypeVar("T")


def check_whole(text: T) -> T:
    """`text`, unless it is one that has no bytes in UTF-8: engines and files take no half characters.

    Raises:
        ValueError: naming the place.
    """
    if isinstance(text, str):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"half a character at place {error.start} (a surrogate without its other half)"
            ) from None
    return text


WHOLE = BeforeValidator(check_whole)
"""For the `Annotated` text of a request."""


class Request(Fact):
    """What a runtime is asked to do: checked, frozen, free of paths and addresses."""


class Result(Fact):
    """What a runtime answered. `provenance` is filled in by the Hub that asked."""

    provenance: Provenance | None = None


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
    if first["type"] == "extra_forbidden":
        return _unknown(first["loc"], kind)
    came = "" if first["type"] == "missing" else f", not {first['input']!r:.80}"
    return InvalidInput(f"{field}: {_reason(first['msg'])}{came}", hint=_hint(kind, field), field=field)


def _unknown(loc: Sequence[int | str], kind: type[Fact]) -> InvalidInput:
    """What may stand in the place of a name that nobody knows."""
    *outer, name = map(str, loc)
    field = ".".join([*outer, name])
    if not outer:
        names = ", ".join(known for known in kind.model_fields if known != "messages")
        return InvalidInput(f"unknown parameter {name!r}", hint=f"Parameters are: {names}.", field=field)
    keys = ", ".join(_holder(loc, kind).model_fields)
    return InvalidInput(
        f"{'.'.join(outer)}: unknown key {name!r}", hint=f"Its keys are: {keys}.", field=field
    )


def _holder(loc: Sequence[int | str], kind: type[Fact]) -> type[Fact]:
    """The kind of fact, somewhere in `kind`, whose field the last part of `loc` is."""
    for part in loc[:-1]:
        info = kind.model_fields.get(str(part))
        kind = (_fact_in(info.annotation) if info else None) or kind
    return kind


def _fact_in(annotation: Any) -> type[Fact] | None:
    if isinstance(annotation, type) and issubclass(annotation, Fact):
        return annotation
    return next(filter(None, map(_fact_in, get_args(annotation))), None)


def _reason(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[:1].lower() + message[1:] if message.startswith("Input") else message


def _hint(kind: type[Fact], field: str) -> str:
    info = kind.model_fields.get(field.partition(".")[0])
    return info.description or "" if info else ""
