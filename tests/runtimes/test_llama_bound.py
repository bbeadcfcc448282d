"""Answers bound to a schema by either runtime of llama.cpp: both obey the same grammar."""

import json
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from modelhub.errors import ContextTooLong, InvalidInput
from modelhub.facts import Call
from modelhub.runtimes import Instance, Runtime
from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import LIVENESS, Subject
from modelhub.tasks import ChatReply, FinishReason, chat_request, read_format
from tests.runtimes.random_gguf import TEMPLATE, write_random_gguf
from tests.runtimes.zoo import bundle

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")
pytest.importorskip("llama_cpp", reason="the llama extra is not installed")

RUNTIMES = (LlamaServerRuntime, LlamaCppRuntime)
ASSISTANT = "<|im_start|>assistant\n"
THINKS = TEMPLATE.replace(
    "{{ m.content }}",
    "{% if m.role == 'assistant' and m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>"
    "{% endif %}{{ m.content }}",
)


def load(runtime: type[Runtime], path: Path, template: str | None = None) -> Instance:
    """A model of random weights."""
    write_random_gguf(path, context=4096, template=template)
    return Subject(runtime(), bundle(path.parent, path.name), {"n_threads": 1}).load()


@pytest.fixture(scope="module", params=RUNTIMES, ids=lambda runtime: runtime.name)
def instance(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    loaded = load(request.param, tmp_path_factory.mktemp("bound") / "random.gguf")
    yield loaded
    loaded.close()


def ask(instance: Instance, schema: Any, message: str = "Hi", **parameters: Any) -> ChatReply:
    how = {"temperature": 2, "seed": 1, "max_tokens": 900} | parameters
    request = chat_request(message, response_format=read_format(schema), **how)
    reply = instance.infer(request, Call(timeout=LIVENESS))
    assert isinstance(reply, ChatReply)
    return reply


SCHEMAS: list[dict[str, Any]] = [
    {"type": "string", "pattern": "^é+[^a]{2}$", "maxLength": 9},
    {"type": "string", "pattern": "^(a{1,10}){1,10}$", "maxLength": 40},
    {"type": "string", "pattern": "^(\\w|_)+$", "maxLength": 40},
    {"type": "string", "pattern": "^" + "a?" * 120 + "$"},
    {"$defs": {"a": {"type": "string", "maxLength": 90}}, "$ref": "#/$defs/a", "maxLength": 3},
    {"type": "string", "minLength": 500, "maxLength": 500},
    {"type": "object", "properties": {f"p{number}": {"type": "null"} for number in range(60)}},
    {"prefixItems": [{"enum": [number, None]} for number in range(60)], "minItems": 60, "items": False},
    {"items": {"type": ["null", "boolean"]}, "type": "array", "minItems": 20, "maxItems": 1000},
    {"type": "object", "required": ["zz"], "additionalProperties": {"type": "null"}, "properties": {}},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=[json.dumps(schema)[:50] for schema in SCHEMAS])
def test_the_answer_is_what_the_schema_says(instance: Instance, schema: Any) -> None:
    begin = perf_counter()
    reply = ask(instance, schema, max_tokens=3000)
    assert reply.finish_reason is FinishReason.STOP
    Draft202012Validator(schema).validate(json.loads(reply.text))
    assert perf_counter() - begin < LIVENESS


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"allOf": [{"type": "string", "minLength": 5}, {"maxLength": 2}]}, "no answer fits"),
        ({"allOf": [{"anyOf": [{"minLength": 1}]}, {"anyOf": [{"maxLength": 2}]}]}, "two anyOf"),
        ({"$defs": {"a": {"minItems": 5}}, "$ref": "#/$defs/a", "maxItems": 2}, "no answer fits"),
    ],
)
def test_what_no_grammar_can_be_is_refused(instance: Instance, schema: Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        ask(instance, schema)
    assert ask(instance, {"const": 1}).text.strip() == "1"


def test_what_it_took_is_counted(instance: Instance) -> None:
    free = instance.infer(chat_request("Hi", max_tokens=3), Call(timeout=LIVENESS))
    bound = ask(instance, {"type": "string", "minLength": 100}, max_tokens=7)
    assert isinstance(free, ChatReply)
    assert bound.finish_reason is FinishReason.LENGTH
    assert (bound.usage.prompt_tokens, bound.usage.completion_tokens) == (free.usage.prompt_tokens, 7)


def test_a_stop_text_ends_it(instance: Instance) -> None:
    assert ask(instance, {"const": "snow and rain"}, stop=" and").text == '"snow'


def test_a_prompt_that_is_too_long(instance: Instance) -> None:
    request = chat_request("x" * 5000, response_format=read_format({"const": 1}))
    with pytest.raises(ContextTooLong, match="4096"):
        instance.infer(request, Call(timeout=LIVENESS))


# Thoughts

BEGUN = THINKS.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_thought_that_the_prompt_begins_is_ended_first(runtime: type[Runtime], tmp_path: Path) -> None:
    assert BEGUN != THINKS
    instance = load(runtime, tmp_path / "thinks.gguf", BEGUN)
    reply = ask(instance, {"const": 1}, temperature=0, max_tokens=60)
    instance.close()
    assert reply.text == ""
    assert reply.reasoning
    assert reply.finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_thought_is_no_part_of_the_answer(
    runtime: type[Runtime], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [("thought", '"hm </think>\\n\\n"')]
    monkeypatch.setattr("modelhub.runtimes.llama.grammar.thoughts._rest", lambda: said)
    for template, thoughts in ((THINKS, {"hm", ""}), (BEGUN, {"hm"})):
        instance = load(runtime, tmp_path / "thinks.gguf", template)
        replies = [ask(instance, {"const": "a"}, f"{number}") for number in range(40)]
        instance.close()
        assert {reply.reasoning for reply in replies} == thoughts
        assert {reply.text.strip() for reply in replies} == {'"a"'}


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_model_that_knows_of_no_thoughts_has_none(runtime: type[Runtime], tmp_path: Path) -> None:
    instance = load(runtime, tmp_path / "plain.gguf")
    replies = [ask(instance, {"const": "a"}, f"{number}") for number in range(40)]
    instance.close()
    assert {(reply.reasoning, reply.text.strip()) for reply in replies} == {("", '"a"')}
