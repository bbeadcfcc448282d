"""Grammars at the edges: numbers that doubles barely keep, other members' names, thoughts."""

from typing import Any

import pytest

from modelhub.errors import InvalidInput
from modelhub.runtimes.llama.grammar import Thought, grammar_of
from modelhub.tasks.schema import check_schema
from tests.runtimes.grammar_reader import Accepts, accepts

__all__ = ["accepts"]

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")


def test_it_may_think_first(accepts: Accepts) -> None:
    grammar = grammar_of({"const": 1}, Thought.MAY)
    for text in ("1", "<think></think>1", "<think>\na < b\n</think>\n\n1"):
        assert accepts(grammar, text), text
    for text in ("</think>1", "<think>1", "<think></think>", "<thinker>1"):
        assert not accepts(grammar, text), text


def test_a_prompt_may_begin_a_thought() -> None:
    assert Thought.after("<|assistant|><think>\n", thinks=True) is Thought.BEGUN
    assert Thought.after("<think></think>", thinks=True) is Thought.MAY
    assert Thought.after("<|assistant|>", thinks=False) is Thought.NONE


def test_it_may_end_a_thought_first(accepts: Accepts) -> None:
    grammar = grammar_of({"const": 1}, Thought.BEGUN)
    for text in ("</think>1", "a < b, </p>\n</think>\n\n1", "x <<</think>1"):
        assert accepts(grammar, text), text
    for text in ("1", "</think>", "</think>2", "a </think> b </think>1"):
        assert not accepts(grammar, text), text


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "number", "minimum": -0.5, "maximum": 0.5}, ["-0.3", "0.3", "0"], []),
        ({"type": "number", "exclusiveMinimum": -1, "maximum": -0.2}, ["-0.3"], []),
        ({"type": "number", "minimum": 0}, ["0.5", "1e99"], ["-1", "1e999", "1e100"]),
        ({"type": "number", "exclusiveMinimum": 0}, ["0.5"], ["-0.5"]),
        (
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "ab": {"type": "integer"}},
                "required": ["a"],
                "additionalProperties": {"type": "string"},
            },
            [
                '{"a":1}',
                '{"a":1,"ab":2,"b":"x"}',
                '{"a":1,"abc":"x","":"y","aé":"z","a\\n":"w"}',
            ],
            ['{"a":1,"a":"x"}', '{"a":1,"ab":"x"}', '{"a":1,"b":2}', '{"a":1,"\\u0061":"x"}'],
        ),
        (
            {"properties": {"a": {"type": "integer"}}, "additionalProperties": True},
            ['{"b":[]}'],
            ['{"a":"x"}'],
        ),
    ],
)
def test_what_else_may_be_written(
    accepts: Accepts, schema: Any, good: list[str], bad: list[str]
) -> None:
    grammar = grammar_of(check_schema(schema))
    assert [text for text in good if not accepts(grammar, text)] == []
    assert [text for text in bad if accepts(grammar, text)] == []


@pytest.mark.parametrize("limits", [{"minimum": 10**15}, {"maximum": -(10**15)}, {"minimum": 1e300}])
def test_whole_numbers_too_large_to_be_written_are_refused(limits: Any) -> None:
    with pytest.raises(InvalidInput, match="more than 15 digits"):
        grammar_of(check_schema({"type": "integer", **limits}))


THOUGHTS = ["", "a </td> b", "</", "</think", "<</thin<</think", "<think>", "</t</th</thi", "\n\n"]


@pytest.mark.parametrize("thought", THOUGHTS)
def test_a_thought_holds_anything_but_its_end(accepts: Accepts, thought: str) -> None:
    for begun, grammar in (
        ("", grammar_of({"const": 1}, Thought.BEGUN)),
        ("<think>", grammar_of({"const": 1}, Thought.MAY)),
    ):
        assert accepts(grammar, f"{begun}{thought}</think>1")
        assert accepts(grammar, f"{begun}{thought}</think>\r\n\n1")
        assert not accepts(grammar, f"{begun}{thought}</think>x</think>1")
        assert not accepts(grammar, f"{begun}{thought}1")
