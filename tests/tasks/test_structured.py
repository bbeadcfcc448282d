"""Answers by their format: taken, or refused without a word of their content."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import OutputInvalid
from modelhub.tasks import (
    ChatChunk,
    ChatReply,
    FinishReason,
    Usage,
    as_class,
    chat_request,
    checked_chunks,
    checked_reply,
    read_format,
)
from modelhub.tasks.structured import read_answer
from tests.tasks.test_schema import Weather

USAGE = Usage(prompt_tokens=1, completion_tokens=1)
STOP, LENGTH = FinishReason.STOP, FinishReason.LENGTH
REQUEST = chat_request("x", response_format=Weather)


def reply(text, finish=STOP):
    return ChatReply(text=text, finish_reason=finish, usage=USAGE)


def test_the_value_is_in_parsed():
    checked = checked_reply(reply(' {"sky": "clear", "degrees": 3}\n'), REQUEST)
    assert checked.parsed == {"sky": "clear", "degrees": 3}
    assert as_class(checked, Weather).parsed == Weather(sky="clear", degrees=3)
    assert as_class(checked, None) is checked
    assert checked.model_dump()["parsed"] == checked.parsed


def test_without_a_format_nothing_is_looked_at():
    for given_format in (None, {"type": "text"}):
        free = reply("whatever")
        assert checked_reply(free, chat_request("x", response_format=given_format)) is free


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("secret", "the answer is not JSON"),
        ('{"sky": NaN}', "the answer is not JSON"),
        ('{"sky": "secret"}', "sky is not what the schema says: enum"),
        ("{}", "the answer is not what the schema says: required"),
        ("[" * 100_000, "the answer is not JSON"),
    ],
)
def test_what_the_format_does_not_allow(text, says):
    with pytest.raises(OutputInvalid) as caught:
        checked_reply(reply(text), REQUEST)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value.to_dict())


def test_what_was_cut():
    with pytest.raises(OutputInvalid, match="was cut") as caught:
        checked_reply(reply('{"sky": "clear"}', LENGTH), REQUEST)
    assert caught.value.details["finish_reason"] == "length"
    assert "max_tokens" in caught.value.hint


def test_a_class_may_be_stricter_than_its_schema():
    with pytest.raises(OutputInvalid, match="sky is not what Weather says"):
        as_class(reply("x").model_copy(update={"parsed": {"sky": 3}}), Weather)


def test_a_pattern_is_matched_in_linear_time():
    wanted = read_format({"type": "string", "pattern": "^a*a*a*a*a*a*a*a*a*a*a*a*b$"})
    with pytest.raises(OutputInvalid, match="pattern"):
        read_answer('"' + "a" * 20_000 + '"', wanted, STOP)
    assert read_answer('"aab"', wanted, STOP) == "aab"


def chunks(*texts, finish=STOP):
    yield from (ChatChunk(text=text) for text in texts)
    yield ChatChunk(finish_reason=finish, usage=USAGE)


def test_a_stream_passes_and_is_looked_at_before_its_last_piece():
    pieces = list(checked_chunks(chunks('{"sky"', ': "clear"}'), REQUEST))
    assert [piece.text for piece in pieces] == ['{"sky"', ': "clear"}', ""]
    got = []
    with pytest.raises(OutputInvalid):
        got.extend(piece.text for piece in checked_chunks(chunks("{", "}"), REQUEST))
    bad = checked_chunks(chunks("{", "}"), REQUEST)
    assert [next(bad).text, next(bad).text] == ["{", "}"]
    with pytest.raises(OutputInvalid):
        next(bad)


def test_a_stream_without_a_format_is_left_alone():
    assert len(list(checked_chunks(chunks("a", "b"), chat_request("x")))) == 3


@given(st.text())
def test_any_text_is_an_answer_or_is_refused(text):
    with contextlib.suppress(OutputInvalid):
        assert read_answer(text, REQUEST.response_format, STOP)["sky"] in {"clear", "cloudy"}
