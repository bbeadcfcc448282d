"""Grammars from JSON schemas, read by llama.cpp itself: what it would let a model write, letter by letter."""

import json
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from modelhub.errors import InvalidInput
from modelhub.facts import Call
from modelhub.runtimes.llama.grammar import grammar_of
from modelhub.runtimes.llama.grammar.numbers import integer
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.testing import LIVENESS, Subject
from modelhub.tasks import ChatReply, chat_request, read_format
from modelhub.tasks.schema import check_schema
from tests.runtimes.grammar_reader import Accepts, accepts
from tests.runtimes.random_gguf import write_random_gguf
from tests.runtimes.zoo import bundle, chat_bundle

__all__ = ["accepts"]

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "of": {"type": "null"}},
    "required": ["age"],
}
CASES: list[tuple[Any, list[str], list[str]]] = [
    (PERSON, ['{"age":1}', '{"name":"x","age":1}', '{"age": 1, "of": null}', '{\n  "age":\n0\n}'], []),
    (
        PERSON,
        [],
        ["{}", '{"age":"1"}', '{"name":"x"}', '{"age":1,"name":"x"}', '{"age":1,"more":2}', "[]"],
    ),
    (PERSON | {"required": []}, ["{}", '{"of":null}', '{"name":"","of":null}'], ['{"of":null,}', "{,}"]),
    (
        PERSON | {"additionalProperties": {"type": "boolean"}},
        ['{"age":1,"a":true,"b":false}'],
        ['{"age":1,"a":2}'],
    ),
    (PERSON | {"required": ["age", "zip"]}, ['{"age":1,"zip":[1]}'], ['{"age":1}']),
    ({"type": "object"}, ["{}", '{"a":{"b":[1,"x",null]}}'], ["[]", '{"a"}', ""]),
    ({"type": "object", "additionalProperties": False}, ["{}", "{ }"], ['{"a":1}']),
    (
        {"type": "object", "additionalProperties": {"type": "null"}},
        ["{}", '{"a":null,"b":null}'],
        ['{"a":1}'],
    ),
    ({"properties": {'a"\\b': {"const": 1}}, "required": ['a"\\b']}, ['{"a\\"\\\\b":1}'], ['{"a":1}']),
    ({}, ["1", '"x"', "[[]]", "null", "-0.5e+3", '{"a":1}'], ["x", "01", "1.", "+1", "'x'"]),
    (
        {"type": "string"},
        ['""', '"é☃"', '"\\n\\u00e9"', '"a b" '],
        ['"', '"\n"', '"\\x"', '"\\u12"', "x"],
    ),
    ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"abc"', '"\\n☃"'], ['"a"', '"abcd"']),
    ({"minLength": 1}, ['"a"'], ['""', "1"]),
    (
        {"type": "array", "items": {"type": "integer"}},
        ["[]", "[1]", "[1, 2,3]"],
        ["[1,]", '["x"]', "[,1]"],
    ),
    ({"items": {"const": 1}, "minItems": 2}, ["[1,1]", "[1,1,1]"], ["[]", "[1]"]),
    ({"items": {"const": 1}, "maxItems": 2}, ["[]", "[1]", "[1,1]"], ["[1,1,1]"]),
    ({"items": {"const": 1}, "minItems": 2, "maxItems": 2}, ["[1,1]"], ["[1]", "[1,1,1]"]),
    ({"items": {"const": 1}, "maxItems": 0}, ["[]"], ["[1]"]),
    ({"items": {"const": 1}, "minItems": 1, "maxItems": 3}, ["[1]", "[1,1,1]"], ["[]", "[1,1,1,1]"]),
    ({"type": "array"}, ["[]", '[1,"x",[]]'], ["{}"]),
    (
        {"prefixItems": [{"const": 1}, {"const": 2}], "items": False, "minItems": 2},
        ["[1,2]"],
        ["[1]", "[1,2,3]"],
    ),
    (
        {"prefixItems": [{"const": 1}], "items": {"const": 0}, "minItems": 1},
        ["[1]", "[1,0,0]"],
        ["[0]", "[]"],
    ),
    (
        {"enum": ["a", 1, None, True, {"b": [1]}]},
        ['"a"', "1", "null", "true", '{"b": [1]}'],
        ['"b"', "2", "false"],
    ),
    ({"const": 'a"b\n'}, ['"a\\"b\\n"'], ['"a"']),
    ({"type": ["string", "null"]}, ['"x"', "null"], ["1"]),
    ({"anyOf": [{"type": "integer"}, {"const": "x"}]}, ["1", '"x"'], ['"y"']),
    ({"oneOf": [{"type": "null"}, False]}, ["null"], ["1"]),
    (
        {
            "type": "object",
            "properties": {"k": {}},
            "required": ["k"],
            "anyOf": [{"properties": {"a": {"const": 1}}}],
        },
        ['{"k":0,"a":1}', '{"k":0}'],
        ['{"a":1}'],
    ),
    (
        {
            "allOf": [
                {"properties": {"a": {"const": 1}}, "required": ["a"]},
                {"properties": {"b": {"const": 2}}},
            ]
        },
        ['{"a":1}', '{"a":1,"b":2}'],
        ["{}", '{"b":2}'],
    ),
    (
        {"$defs": {"n": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/n"}},
        ["[]", "[1,2]"],
        ['["x"]'],
    ),
    ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"const": 5}}, "$ref": "#/$defs/a"}, ["5"], ["6"]),
    ({"type": "number", "minimum": 0}, ["0", "1.5", "2e3"], ["-1"]),
    ({"type": "number"}, ["-1", "0.000001", "1E-7"], [".5", "1e"]),
    ({"type": "boolean"}, ["true", "false"], ["True", "1"]),
    ({"format": "date"}, ['"2024-02-29"'], ['"2024-13-01"', '"24-01-01"']),
    ({"format": "time"}, ['"23:59:59Z"', '"00:00:00.125+01:30"'], ['"24:00:00Z"', '"1:00:00Z"']),
    ({"format": "date-time"}, ['"2024-02-29T23:59:59Z"'], ['"2024-02-29"']),
    ({"format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']),
    (
        {"pattern": "^[A-Z][a-z]{2,4}-\\d+$"},
        ['"Abc-1"', '"Abcde-42"'],
        ['"abc-1"', '"Ab-1"', '"Abc-"', '"Abc"'],
    ),
    ({"pattern": "^(red|gr(?:e|a)y)?$"}, ['""', '"red"', '"gray"'], ['"gry"', '"redgray"']),
    ({"pattern": "^[^a-z]+$"}, ['"ABC é"', '"\\""', '"\\n"'], ['"aBC"', '""', '"\n"']),
    ({"pattern": '^"\\\\x$'}, ['"\\"\\\\x"'], ['"x"']),
    ({"pattern": "^[!-~]$"}, ['"!"', '"A"', '"~"', '"#"'], ['" "', '"é"']),
    ({"pattern": "^[]^-]+$"}, ['"]^-"'], ['"a"']),
    ({"pattern": "^\\w\\W\\s\\S\\D\\.$"}, ['"a- xx."'], ['"aa xx."', '"a- x1."']),
    ({"pattern": '^[\\d\\n"_-]$'}, ['"7"', '"\\n"', '"\\""', '"-"'], ['"n"']),
    ({"pattern": "^.a*?b{2}$"}, ['"xaabb"', '"☃bb"'], ['"bb"', '"xab"']),
    ({"pattern": "^$"}, ['""'], ['"a"']),
    ({"pattern": "^é[^a☃]$"}, ['"éé"', '"é😀"'], ['"é☃"', '"éa"', '"e"']),
    ({"pattern": "^a+$", "minLength": 2, "maxLength": 3}, ['"aa"', '"aaa"'], ['"a"', '"aaaa"', '"ab"']),
    ({"pattern": "^a*$", "minLength": 2}, ['"aa"', '"aaaaa"'], ['"a"', '""']),
    # Words that meet
    ({"$defs": {"a": {"maxLength": 9}}, "$ref": "#/$defs/a", "maxLength": 1}, ['"a"'], ['"aa"']),
    ({"$defs": {"a": {"maxLength": 1}}, "$ref": "#/$defs/a", "maxLength": 9}, ['"a"'], ['"aa"']),
    ({"allOf": [{"type": "number"}, {"type": ["integer", "null"]}]}, ["1"], ["1.5", "null"]),
    ({"allOf": [{"enum": [1, 2]}, {"enum": [2, 3]}, {"type": "integer"}]}, ["2"], ["1", "3"]),
    ({"enum": ["a", 1, "bcd"], "type": "string", "maxLength": 2}, ['"a"'], ["1", '"bcd"']),
    ({"anyOf": [{"minLength": 9}, {"minLength": 1}], "maxLength": 2}, ['"a"'], ['""', '"aaa"']),
    (
        {"properties": {"a": {"allOf": [{"const": 1}, {"const": 2}]}, "b": False, "c": {"const": 3}}},
        ["{}", '{"c":3}'],
        ['{"a":1}', '{"a":2}', '{"b":1}'],
    ),
    ({"items": {"allOf": [{"const": 1}, {"const": 2}]}, "type": "array"}, ["[]"], ["[1]"]),
    ({"prefixItems": [{"const": 1}, False]}, ["[1]"], ["[1,2]", "[1,1]"]),
    ({"prefixItems": [{"const": 1}, {"const": 2}], "maxItems": 1}, ["[1]"], ["[1,2]"]),
    (
        {
            "allOf": [
                {"prefixItems": [{"enum": [1, 2]}], "items": {"const": 3}},
                {"items": {"enum": [1, 3]}},
            ]
        },
        ["[1,3,3]", "[1]"],
        ["[2]", "[1,1]"],
    ),
    (
        {
            "allOf": [
                {"properties": {"a": {"const": 1}}, "additionalProperties": {"enum": [2, 3]}},
                {"properties": {"b": {"enum": [1, 2]}}, "required": ["b"]},
            ]
        },
        ['{"a":1,"b":2}', '{"b":2}', '{"b":2,"z":3}'],
        ['{"b":1}', '{"b":3}', '{"b":2,"z":1}'],
    ),
    ({"required": ["z"], "additionalProperties": {"type": "null"}}, ['{"z":null}'], ['{"z":1}', "{}"]),
]


@pytest.mark.parametrize(
    ("schema", "good", "bad"), CASES, ids=[json.dumps(schema)[:60] for schema, _, _ in CASES]
)
def test_what_may_be_written(accepts: Accepts, schema: Any, good: list[str], bad: list[str]) -> None:
    grammar = grammar_of(check_schema(schema))
    validator = Draft202012Validator(schema)
    assert [text for text in good if not accepts(grammar, text)] == []
    assert [text for text in good if not validator.is_valid(json.loads(text))] == []
    assert [text for text in bad if accepts(grammar, text)] == []


@settings(deadline=None, max_examples=150)
@given(st.integers(-2000, 2000), st.integers(0, 3000), st.integers(-5000, 5000), st.sampled_from("bxml"))
def test_whole_numbers_within_their_limits(
    accepts: Accepts, low: int, span: int, value: int, limits: str
) -> None:
    high = low + span
    schema = {
        "b": {"minimum": low, "maximum": high},
        "x": {"exclusiveMinimum": low - 1, "exclusiveMaximum": high + 0.5},
        "m": {"minimum": low - 0.5},
        "l": {"maximum": high},
    }[limits]
    validator = Draft202012Validator(schema)
    grammar = f"root ::= {integer(schema)}\n"
    for number in (value, low, high, low - 1, high + 1, 0, -1, 10**9, -(10**9)):
        assert accepts(grammar, str(number)) == validator.is_valid(number), number
    assert not accepts(grammar, "00")
    assert not accepts(grammar, "-0") or not low


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"anyOf": [False]}, "a part of it allows nothing"),
        ({"enum": []}, "none of the values"),
        ({"allOf": [False]}, "a part of it allows nothing"),
        ({"allOf": [{"minLength": 5}, {"maxLength": 2}]}, "minLength 5 is more than maxLength 2"),
        ({"$defs": {"a": {"minItems": 3}}, "$ref": "#/$defs/a", "maxItems": 2}, "minItems 3 is more"),
        ({"anyOf": [{"minimum": 3}], "maximum": 2}, "with 3 and maximum 2"),
        ({"allOf": [{"type": "string"}, {"type": ["null", "integer"]}]}, "nothing is of both types"),
        ({"allOf": [{"const": 1}, {"enum": [2, 3]}]}, "none of the values"),
        ({"enum": [1, None], "type": "string"}, "none of the values"),
        ({"type": "integer", "minimum": 1.2, "maximum": 1.8}, "no whole number"),
        ({"prefixItems": [{}], "items": False, "minItems": 2}, "no array of 2 items"),
        ({"prefixItems": [{}, False], "minItems": 2}, "no array of 2 items"),
        ({"pattern": "^a{5}$", "maxLength": 3}, "no text of that length fits"),
        (
            {"required": ["b"], "allOf": [{"properties": {"a": {}}, "additionalProperties": False}]},
            "'b' is not allowed",
        ),
    ],
)
def test_what_no_answer_fits_is_refused(schema: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=f"no answer fits it: .*{says}") as caught:
        grammar_of(check_schema(schema))
    assert caught.value.details["field"] == "response_format"


@pytest.mark.parametrize("word", ["anyOf", "oneOf", "pattern", "format"])
def test_what_one_grammar_cannot_say_is_refused(word: str) -> None:
    values: list[Any] = [[{"type": "string"}, {"type": "null"}], [{"maxLength": 3}, {"type": "null"}]]
    if word == "pattern":
        values = ["^a+$", "^b+$"]
    if word == "format":
        values = ["date", "time"]
    with pytest.raises(InvalidInput, match=f"two {word} for the same value"):
        grammar_of(check_schema({"allOf": [{word: value} for value in values]}))
    assert grammar_of(check_schema({"allOf": [{word: values[0]}, {word: values[0]}]}))


def nested(levels: int) -> dict[str, Any]:
    """Alternatives that double at each level, in a few hundred bytes."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {
            "properties": {"a": schema},
            "anyOf": [{"maxLength": 1}, {"maxLength": 2}, {"maxLength": 3}],
            "oneOf": [{"minLength": 0}, {"minLength": 1}],
        }
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        nested(8),
        {"prefixItems": [{"maxLength": 1000 - number} for number in range(100)]},
        {"prefixItems": [{"minItems": 1000 - number} for number in range(100)]},
        {"prefixItems": [{"pattern": f"^a{{{1000 - number}}}$"} for number in range(60)]},
        {"prefixItems": [{"pattern": "^(ab?)*$", "minLength": number} for number in range(150)]},
    ],
)
def test_what_is_too_large_written_out_is_refused_soon(schema: Any) -> None:
    begin = perf_counter()
    with pytest.raises(InvalidInput, match="too many"):
        grammar_of(check_schema(schema))
    assert perf_counter() - begin < LIVENESS


def test_a_grammar_that_the_library_does_not_take(capfd: Any) -> None:
    from modelhub.runtimes.llama_cpp.bound import Grammar

    loaded: Any = Subject(LlamaCppRuntime(), chat_bundle("q8_0"), {"n_threads": 1}).load()
    with pytest.raises(InvalidInput, match=r"cannot bind .* left recursion"):
        Grammar(loaded._engine, "root ::= root")
    loaded.close()
    assert capfd.readouterr() == ("", "")


DEEP: dict[str, Any] = {"type": "string", "maxLength": 3}
for _ in range(14):
    DEEP = {"type": "object", "properties": {"a": DEEP}, "required": ["a"]}
WIDE = {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(200)}}


@pytest.mark.parametrize("temperature", [0, 2.0])
@pytest.mark.parametrize(
    "schema",
    [
        DEEP,
        WIDE,
        {"enum": ["snow", "rain"]},
        {
            "type": "array",
            "items": {"type": "integer", "minimum": 7, "maximum": 12},
            "minItems": 3,
            "maxItems": 5,
        },
        {"type": "string", "pattern": "^[a-z]{3}-\\d{2}$"},
        PERSON
        | {
            "properties": {
                "name": {"type": "string", "maxLength": 9},
                "age": {"type": "integer", "maximum": 9},
            }
        },
    ],
)
@pytest.mark.parametrize("model", ["zoo", "random"])
def test_answers_are_bound(tmp_path: Path, model: str, schema: Any, temperature: float) -> None:
    path = tmp_path / "random.gguf"
    found = chat_bundle("q8_0")
    if model == "random":
        found = bundle(tmp_path, write_random_gguf(path, context=8192).name)
    loaded = Subject(LlamaCppRuntime(), found, {"n_threads": 1}).load()
    request = chat_request(
        "Name three rivers.",
        temperature=temperature,
        seed=3,
        response_format=read_format(schema),
        max_tokens=900,
    )
    reply = loaded.infer(request, Call(timeout=60))
    loaded.close()
    assert isinstance(reply, ChatReply)
    Draft202012Validator(schema).validate(json.loads(reply.text))
