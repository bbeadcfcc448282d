"""What an answer must be: any text, a JSON object, or JSON by a schema. As in OpenAI's API."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, field_validator, model_validator

from modelhub.errors import InvalidInput
from modelhub.facts import Fact, JsonDict
from modelhub.tasks.schema import FIELD, check_schema

_OPENAI = ("text", "json_object", "json_schema")


class ResponseFormat(Fact):
    """Source: https://platform.openai.com/docs/guides/structured-outputs. `schema` is draft 2020-12."""

    type: Literal["text", "json_object", "json_schema"]
    name: str = "answer"
    json_schema: JsonDict | None = None

    @field_validator("json_schema")
    @classmethod
    def _that_engines_can_take(cls, schema: JsonDict | None) -> JsonDict | None:
        return None if schema is None else check_schema(schema)

    @model_validator(mode="after")
    def _schema_where_it_is_needed(self) -> Self:
        if (self.json_schema is None) == (self.type == "json_schema"):
            raise ValueError("json_schema has a schema, and only json_schema has one")
        return self

    @property
    def bound(self) -> JsonDict | None:
        """The schema that the answer is bound to; `None` when any text will do."""
        return {"type": "object"} if self.type == "json_object" else self.json_schema


FormatInput = Mapping[str, Any] | type[BaseModel] | ResponseFormat | None


def read_format(given: Any) -> ResponseFormat | None:
    """A response format from what a caller gives: OpenAI's object, a pydantic class, or a JSON schema.

    Raises:
        InvalidInput: naming the place in the schema, what came and what would do.
    """
    if given is None or isinstance(given, ResponseFormat):
        return given
    if isinstance(given, type) and issubclass(given, BaseModel):
        return _by_schema(given.model_json_schema(), given.__name__)
    if not isinstance(given, Mapping):
        raise _refused(f"it must be an object or a pydantic class, not {type(given).__name__}")
    if given.get("type") in _OPENAI:
        return _of_openai(given)
    return _by_schema(given, "answer")


def _of_openai(given: Mapping[str, Any]) -> ResponseFormat:
    if unknown := sorted(set(given) - {"type", "json_schema"}):
        raise _refused(f"unknown key {unknown[0]!r:.60}")
    if given["type"] != "json_schema":
        return ResponseFormat(type=given["type"])
    inner = given.get("json_schema")
    if not isinstance(inner, Mapping) or "schema" not in inner:
        raise _refused("json_schema must be an object with a 'schema'")
    if unknown := sorted(set(inner) - {"name", "description", "schema", "strict"}):
        raise _refused(f"json_schema: unknown key {unknown[0]!r:.60}")
    return _by_schema(inner["schema"], str(inner.get("name", "answer")))


def _by_schema(schema: Any, name: str) -> ResponseFormat:
    return ResponseFormat(type="json_schema", name=name, json_schema=check_schema(schema))


def _refused(problem: str) -> InvalidInput:
    return InvalidInput(
        f"{FIELD}: {problem}",
        hint="Pass a JSON schema, a pydantic class, or {'type': 'json_schema', 'json_schema': {'schema': …}}.",
        field=FIELD,
    )
