import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.tasks import (
    TASKS,
    ChatRequest,
    Message,
    Role,
    Usage,
    build_request,
    chat_request,
    embed_request,
    find_task,
)

HALF = "a\ud800"


def test_a_text_becomes_a_user_message():
    assert chat_request("hello").messages == (Message(role=Role.USER, content="hello"),)


def test_openai_text_parts_are_joined():
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert chat_request([{"role": "user", "content": parts}]).messages[0].content == "ab"


def test_a_part_that_is_no_text_is_refused_by_its_type():
    with pytest.raises(InvalidInput, match="image_url"):
        chat_request([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])


@pytest.mark.parametrize(
    "part", [{"type": "text"}, {"type": "text", "text": None}, {"type": "text", "text": 5}]
)
def test_a_text_part_without_a_text_is_refused(part):
    with pytest.raises(InvalidInput, match="under 'text'") as caught:
        chat_request([{"role": "user", "content": [part]}])
    assert caught.value.details["field"] == "messages.0.content"


def test_an_unknown_key_of_a_message_is_named_with_those_it_has():
    with pytest.raises(InvalidInput, match=r"messages\.1: unknown key 'name'") as caught:
        chat_request([{"role": "user", "content": "x"}, {"role": "user", "content": "x", "name": "me"}])
    assert caught.value.hint == "Its keys are: role, content."
    assert caught.value.details["field"] == "messages.1.name"
    with pytest.raises(InvalidInput, match="unknown parameter 'name'") as caught:
        chat_request("x", name="me")
    assert "temperature" in caught.value.hint
    assert "role" not in caught.value.hint


@pytest.mark.parametrize("messages", [b"hello", 5, None, {"role": "user", "content": "x"}])
def test_what_is_no_list_of_messages_is_named(messages):
    with pytest.raises(InvalidInput, match=type(messages).__name__) as caught:
        chat_request(messages)
    assert caught.value.details["field"] == "messages"


def test_messages_may_be_made_or_come_from_a_generator():
    made = Message(role=Role.USER, content="x")
    assert chat_request(message for message in [made]).messages == (made,)


def test_one_stop_text_or_several():
    assert chat_request("x", stop="end").stop == ("end",)
    assert chat_request("x", stop=["a", "b"]).stop == ("a", "b")
    assert chat_request("x", stop=None).stop == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", -0.1),
        ("temperature", "hot"),
        ("top_p", 0),
        ("top_k", -1),
        ("max_tokens", -5),
        ("seed", 1 << 32),
        ("stop", ["x"] * 17),
        ("n_predict", 3),
    ],
)
def test_what_is_out_of_range_is_named_with_what_came(field, value):
    with pytest.raises(InvalidInput) as caught:
        chat_request("x", **{field: value})
    assert field in caught.value.message
    assert caught.value.hint
    if field not in {"stop", "n_predict"}:
        assert repr(value) in caught.value.message


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("messages.0.content", lambda: chat_request(HALF)),
        (
            "messages.0.content",
            lambda: chat_request([{"role": "user", "content": [{"type": "text", "text": HALF}]}]),
        ),
        ("stop.1", lambda: chat_request("x", stop=["end", HALF])),
        ("response_format", lambda: chat_request("x", response_format={"enum": [HALF]})),
        (
            "response_format",
            lambda: chat_request(
                "x",
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": HALF, "schema": {"type": "object"}},
                },
            ),
        ),
        ("texts.1", lambda: embed_request(["x", HALF])),
        ("prompt_name", lambda: embed_request("x", prompt_name=HALF)),
    ],
)
def test_half_a_character_is_refused_in_every_text(field, ask):
    with pytest.raises(InvalidInput, match=rf"{field}: half a character at place \d") as caught:
        ask()
    assert caught.value.details["field"] == field


@pytest.mark.parametrize("count", [-1, (1 << 53) + 1, 1 << 70])
def test_a_count_of_tokens_is_one_that_can_be_kept(count):
    for counts in ((count, 0), (0, count)):
        with pytest.raises(InvalidInput, match="_tokens"):
            build_request(Usage, prompt_tokens=counts[0], completion_tokens=counts[1])
    assert Usage(prompt_tokens=1 << 53, completion_tokens=0).total_tokens == 1 << 53


@given(
    st.builds(
        dict,
        max_tokens=st.none() | st.integers(1, 1 << 31),
        temperature=st.none() | st.floats(0, 100),
        top_p=st.none() | st.floats(0, 1, exclude_min=True),
        top_k=st.none() | st.integers(0, 1 << 31),
        seed=st.none() | st.integers(0, (1 << 32) - 1),
        stop=st.lists(st.text(min_size=1, max_size=9), max_size=16),
    ),
    st.text(min_size=1).filter(str.strip),
)
def test_every_good_request_survives_json(params, text):
    request = chat_request(text, **params)
    assert ChatRequest.model_validate_json(request.model_dump_json()) == request
    assert ChatRequest(**json.loads(json.dumps(request.model_dump()))) == request


def test_tasks_are_found_by_every_name_they_have():
    for task in TASKS:
        for name in (task.subtask or task.id, *task.aliases):
            assert find_task(name).id == task.id
            assert find_task(name.upper().replace("-", "_")).id == task.id
    assert find_task("llm").id == "text-generation"
    assert find_task("detect_faces").subtask == "face-detection"
    with pytest.raises(InvalidInput, match="cooking"):
        find_task("cooking")
