"""The root of all errors, and how one is carried into another process and back."""

from collections.abc import Mapping
from typing import Any, ClassVar

from modelhub.errors.carrying import family, json_value


class ModelHubError(Exception):
    """The root of everything that modelhub raises on purpose."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details: dict[str, Any] = details

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.message!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return error_from_dict, (self.to_dict(),)

    def to_dict(self) -> dict[str, Any]:
        """This error as JSON values: ``code``, ``message``, ``hint``, ``details``."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "details": {name: json_value(value) for name, value in self.details.items()},
        }


def error_from_dict(data: Mapping[str, Any]) -> ModelHubError:
    """The error that ``to_dict`` wrote; a code that this version lacks becomes the root."""
    kinds: dict[str, type[ModelHubError]] = {}
    for kind in family(ModelHubError):
        # A subclass elsewhere that has no code of its own must not take its parent's place.
        kinds.setdefault(kind.code, kind)
    error = kinds.get(data["code"], ModelHubError)(data["message"], hint=data.get("hint", ""))
    # Not as keywords: the names of details are data, and one may be `message`.
    error.details = dict(data.get("details", {}))
    return error
