"""Schemas of callers: what is taken, and every way of asking for too much."""

import json
from typing import Literal

import pytest
from pydantic import BaseModel

from modelhub.errors import InvalidInput
from modelhub.tasks import ResponseFormat, chat_request, read_format
from modelhub.tasks.schema import MAX_NODES, check_schema


class Weather(BaseModel):
    sky: Literal["clear", "cloudy"]
    degrees: float | None = None


def nested(levels):
    schema = inner = {}
    for _ in range(levels):
        inner["items"] = {}
        inner = inner["items"]
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        Weather.model_json_schema(),
        {"type": ["string", "null"]},
        {"$defs": {"a": {"type": "string"}}, "items": {"$ref": "#/$defs/a"}},
        {"definitions": {"a": {"enum": [1]}}, "$ref": "#/definitions/a"},
        {"properties": {"properties": {"const": {"not": 1}}, "not": {"type": "null"}}},
        {"additionalProperties": False},
        {"type": "string", "pattern": "^[0-9]{3}-(a|b)+$", "maxLength": 100},
        {"type": "string", "format": "date-time"},
        {"minLength": 2, "maxLength": 2, "minItems": 0, "maxItems": 0, "minimum": 3, "maximum": 3.0},
        {"required": ["z"], "additionalProperties": {"type": "null"}},
        nested(30),
    ],
)
def test_what_engines_can_be_bound_to(schema):
    assert check_schema(schema) == schema


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ("text", "a schema is an object, not str"),
        (nested(10_000), "deeper than 32 levels"),
        ({"enum": list(range(MAX_NODES))}, "more than 1000 values"),
        ({"description": "x" * 70_000}, "at most 65,536 are taken"),
        ({"enum": [float("nan")]}, "it is not JSON"),
        ({"enum": [object()]}, "object is not JSON"),
        ({1: 2}, "its keys must be texts"),
        ({"not": {}}, "schema.not: engines cannot bind"),
        ({"properties": {"a": {"if": {}}}}, "schema.properties.a.if: engines cannot bind"),
        ({"type": "objekt"}, "schema.type: 'objekt' is not valid"),
        ({"required": "a"}, "schema.required"),
        ({"minItems": 10_000_000}, "10000000 is more than 1000"),
        ({"anyOf": [{"maxLength": 1e9}]}, "schema.anyOf.0.maxLength"),
        ({"format": "email"}, "'email' is not known"),
        ({"$ref": "#"}, "'#' is no definition"),
        ({"$ref": "http://example.com/schema"}, "is no definition"),
        ({"$ref": "#/$defs/missing"}, "is no definition"),
        ({"$ref": "#/properties/a", "properties": {"a": {}}}, "is no definition"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "leads back to itself"),
        (
            {"$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}
            | {"$ref": "#/$defs/a"},
            "leads back to itself",
        ),
        ({"anyOf": [{"pattern": f"^a{{{n}}}$"} for n in range(65)]}, "more than 64 patterns"),
        ({"pattern": "(a+)+b"}, "it repeats what repeats"),
        ({"minLength": 5, "maxLength": 2}, "schema.minLength: 5 is more than maxLength 2"),
        ({"items": {"minItems": 1, "maxItems": 0}}, "schema.items.minItems: 1 is more than maxItems 0"),
        ({"minimum": 5, "maximum": 2}, "schema.minimum: with 5 and maximum 2 no number is left"),
        ({"minimum": 5, "exclusiveMaximum": 5}, "schema.minimum: with 5 and exclusiveMaximum 5"),
        ({"exclusiveMinimum": 5, "maximum": 5}, "schema.exclusiveMinimum: with 5 and maximum 5"),
        ({"$defs": {"a": {"minLength": 2, "maxLength": 1}}}, "schema.$defs.a.minLength: 2 is more"),
        (
            {"required": ["z"], "properties": {"q": {}}, "additionalProperties": False},
            "'z' is not allowed",
        ),
        ({"required": ["z"], "properties": {"z": False}}, "schema.required: 'z' is not allowed"),
    ],
)
def test_what_is_refused_with_its_place(schema, says):
    with pytest.raises(InvalidInput) as caught:
        check_schema(schema)
    assert says in caught.value.message
    assert caught.value.message.startswith("response_format.schema")
    assert caught.value.details["field"] == "response_format"
    assert len(caught.value.message) < 500


def test_references_may_not_multiply():
    """A few hundred bytes that are a million schemas when written out."""
    defs = {"x0": {"type": "string"}}
    for number in range(1, 21):
        ref = {"$ref": f"#/$defs/x{number - 1}"}
        defs[f"x{number}"] = {"prefixItems": [ref, ref]}
    with pytest.raises(InvalidInput, match=r"written out without \$ref"):
        check_schema({"$defs": defs, "$ref": "#/$defs/x20"})


# What a caller may give


def test_a_class_a_schema_and_openais_object_are_the_same():
    schema = Weather.model_json_schema()
    by_class = read_format(Weather)
    assert by_class == ResponseFormat(type="json_schema", name="Weather", json_schema=schema)
    openai = {
        "type": "json_schema",
        "json_schema": {"name": "Weather", "schema": schema, "strict": True},
    }
    assert read_format(openai) == by_class
    assert read_format(schema).json_schema == schema
    assert read_format(by_class) is by_class


def test_the_other_formats():
    assert read_format({"type": "json_object"}).bound == {"type": "object"}
    assert read_format({"type": "text"}).bound is None
    assert read_format(None) is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("json", "not str"),
        (int, "not type"),
        ({"type": "json_object", "schema": {}}, "unknown key 'schema'"),
        ({"type": "json_schema"}, "must be an object with a 'schema'"),
        ({"type": "json_schema", "json_schema": {"schema": {}, "x": 1}}, "unknown key 'x'"),
        ({"type": "json_schema", "json_schema": {"schema": []}}, "not list"),
    ],
)
def test_what_is_no_format(given, says):
    with pytest.raises(InvalidInput, match=says) as caught:
        chat_request("x", response_format=given)
    assert caught.value.details["field"] == "response_format"


def test_a_format_that_was_made_by_hand_is_looked_at_too():
    with pytest.raises(ValueError, match="leads back"):
        ResponseFormat(
            type="json_schema", json_schema={"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
        )
    with pytest.raises(ValueError, match="has a schema"):
        ResponseFormat(type="json_schema")


def test_a_request_with_a_format_is_json():
    request = chat_request("x", response_format=Weather)
    assert type(request).model_validate(json.loads(json.dumps(request.model_dump()))) == request
