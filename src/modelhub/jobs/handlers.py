"""Kinds of work that can be submitted: what each is given, and what does it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from modelhub.errors import InvalidInput, ModelHubError
from modelhub.facts import JsonDict
from modelhub.jobs.context import JobContext

__all__ = ["Handler", "Handlers", "Payload"]

LONGEST_KEY = 400  # characters; a longer one is hashed


class Payload(BaseModel):
    """What a job is given: JSON values. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


P = TypeVar("P", bound=Payload)


@dataclass(frozen=True, slots=True)
class Handler(Generic[P]):
    """A kind of work.

    `work` is given the payload and the context, and gives the job's output, JSON values. It must bear to
    be begun again: its worker may die at any moment. `key` says when two jobs are the same (by default:
    when their payloads are). A process does at most `limit` of the kind at once.
    """

    kind: str
    payload: type[P]
    work: Callable[[P, JobContext], JsonDict]
    key: Callable[[P], str] | None = None
    limit: int | None = None

    def read(self, given: Mapping[str, Any]) -> P:
        """The payload in `given`.

        Raises:
            InvalidInput: naming the field, what came and what would do.
        """
        try:
            return self.payload.model_validate(dict(given))
        except ValidationError as error:
            raise self._explained(error) from None

    def key_of(self, payload: P) -> str:
        """What two jobs have in common that are the same."""
        if self.key is not None:
            text = self.key(payload)
        else:
            text = json.dumps(payload.model_dump(mode="json", exclude_none=True), sort_keys=True)
        whole = f"{self.kind}:{text}"
        return whole if len(whole) <= LONGEST_KEY else f"{self.kind}:{sha256(text.encode()).hexdigest()}"

    def do(self, given: Mapping[str, Any], context: JobContext) -> JsonDict:
        """Read the payload and do the work."""
        return self.work(self.read(given), context)

    def _explained(self, error: ValidationError) -> InvalidInput:
        first = error.errors(include_url=False)[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ModelHubError):
            why, hint = cause.message, cause.hint
        else:
            came = (
                ""
                if first["type"] in {"missing", "extra_forbidden"}
                else f", not {first['input']!r:.80}"
            )
            why, hint = f"{first['msg']}{came}", self._fields()
        field = ".".join(str(part) for part in first["loc"]) or "payload"
        return InvalidInput(f"job {self.kind}: {field}: {why}", hint=hint, field=field)

    def _fields(self) -> str:
        fields = self.payload.model_fields.items()
        names = [name if field.is_required() else f"[{name}]" for name, field in fields]
        return f"It takes {', '.join(names)}." if names else "It takes nothing."


class Handlers:
    """The kinds that this process can do."""

    def __init__(self) -> None:
        self._known: dict[str, Handler[Any]] = {}

    @property
    def kinds(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._known)

    def add(self, handlers: Iterable[Handler[Any]]) -> None:
        """Know these too.

        Raises:
            InvalidInput: for a kind that is known already, or no name.
        """
        for handler in handlers:
            if handler.kind in self._known or not 0 < len(handler.kind) <= 32:
                raise InvalidInput(
                    f"a kind of jobs cannot be called {handler.kind!r:.60}",
                    hint=f"At most 32 characters, and not one of {', '.join(self._known)}.",
                    field="kind",
                )
            self._known[handler.kind] = handler

    def get(self, kind: str) -> Handler[Any]:
        """The handler of a kind.

        Raises:
            InvalidInput: for one that is not known.
        """
        if (handler := self._known.get(kind)) is None:
            raise InvalidInput(
                f"no job of the kind {kind!r:.60} can be submitted",
                hint=f"Kinds are: {', '.join(self._known) or 'none'}.",
                field="kind",
            )
        return handler
