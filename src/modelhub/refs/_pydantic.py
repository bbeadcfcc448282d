"""Lets a checked `str` subclass be a pydantic field without importing pydantic here."""

from typing import Any


class CheckedStr(str):
    """A `str` whose constructor checks it; pydantic fields of this type call the constructor."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        # Only pydantic calls this, so pydantic_core is loaded already.
        from pydantic_core import core_schema

        def check(value: Any, handler: Any) -> Any:
            # Whoever made one has checked it; a listing has a hundred thousand of them.
            return value if type(value) is cls else cls(handler(value))

        return core_schema.no_info_wrap_validator_function(check, core_schema.str_schema())
