"""Answers bound to a schema, from the caller to the engine and back."""

import json
from typing import Literal

import pytest
from pydantic import BaseModel, field_validator

from modelhub.errors import InvalidInput, OutputInvalid, RuntimeNotFound
from modelhub.runtimes.echo import EchoRuntime
from tests.hub.conftest import MODEL

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")
pytest.importorskip("llama_cpp", reason="the llama extra is not installed")

REF = f"{MODEL}:q8_0"
ENGINES = ("llama_server", "llama_cpp")


class Weather(BaseModel):
    sky: Literal["clear", "cloudy"]
    rain: bool
    towns: list[Literal["Paris", "Lima"]]


SCHEMAS = [
    {"enum": ["snow", 3, None]},
    {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    | {"additionalProperties": False},
    {"type": "array", "items": {"enum": [1, 2]}, "minItems": 2, "maxItems": 3},
    {"type": "string", "pattern": "^[0-9]{3}-[a-f]$"},
    {"$defs": {"x": {"const": "x"}}, "anyOf": [{"$ref": "#/$defs/x"}, {"type": "null"}]},
    Weather.model_json_schema() | {"properties": {"sky": {"enum": ["clear"]}}, "required": ["sky"]},
]


@pytest.fixture(params=["thread", "process"])
def hub(request, make_hub):
    return make_hub(host=request.param)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_answer_is_what_the_schema_says(hub, engine):
    for schema in SCHEMAS:
        reply = hub.chat(
            REF, "Hello!", response_format=schema, runtime=engine, seed=1, temperature=2, max_tokens=300
        )
        assert reply.parsed == json.loads(reply.text)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_class_gives_an_instance(hub, engine):
    class Sky(BaseModel):
        sky: Literal["clear", "cloudy"]

    reply = hub.chat(REF, "Hello!", response_format=Sky, runtime=engine, temperature=0)
    assert isinstance(reply.parsed, Sky)
    openai = {"type": "json_schema", "json_schema": {"name": "s", "schema": Sky.model_json_schema()}}
    assert hub.chat(REF, "Hello!", response_format=openai, runtime=engine).parsed["sky"]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_stream_is_bound_too(hub, engine):
    stream = hub.chat(REF, "Hello!", response_format={"enum": ["snow"]}, runtime=engine, stream=True)
    assert "".join(chunk.text for chunk in stream).strip() == '"snow"'


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("stream", [False, True])
def test_what_is_cut_is_no_answer(hub, engine, stream):
    how = {"response_format": {"enum": ["a long, long answer"]}, "runtime": engine, "max_tokens": 2}
    with pytest.raises(OutputInvalid, match="was cut"):
        list(hub.chat(REF, "Hello!", stream=stream, **how))
    hub._answering.recorder.flush()
    with hub._registry.read() as tx:
        assert tx.calls.list()[0].error_type == "output_invalid"


def test_a_class_may_refuse_what_its_schema_allows(make_hub):
    class Picky(BaseModel):
        sky: Literal["clear"]

        @field_validator("sky")
        @classmethod
        def _never(cls, sky: str) -> str:
            raise ValueError("not today")

    with pytest.raises(OutputInvalid, match="sky is not what Picky says"):
        make_hub().chat(REF, "Hello!", response_format=Picky, temperature=0)


def test_who_cannot_is_not_taken(make_hub, monkeypatch):
    hub = make_hub()
    with pytest.raises(RuntimeNotFound, match="echo cannot bind its answer to a json schema"):
        hub.chat(REF, "x", response_format={"enum": [1]}, runtime="echo")
    monkeypatch.setattr(EchoRuntime, "priority", 1000)
    monkeypatch.setattr(EchoRuntime, "explicit", False)
    assert hub.chat(REF, "x").provenance.runtime == "echo"
    bound = hub.chat(REF, "x", response_format={"enum": [1]})
    assert bound.provenance.runtime == "llama_server"
    assert bound.parsed == 1


@pytest.mark.parametrize("schema", [{"pattern": "(a+)+b"}, {"not": {}}, {"$ref": "#"}])
def test_a_bad_schema_is_refused_before_anything_else(make_hub, server, schema):
    with pytest.raises(InvalidInput, match="response_format"):
        make_hub().chat(REF, "x", response_format=schema)
    assert not server.requests
