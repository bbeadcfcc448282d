import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import EngineError, InvalidInput, LoadFailed, ModelHubError
from modelhub.facts import Device, Fact
from modelhub.runtimes.hosts.plain import is_plain
from modelhub.runtimes.hosts.wire import (
    ChildFailure,
    decode,
    encode,
    error_message,
    find_kind,
    read_error,
)
from modelhub.tasks import ChatChunk, ChatReply, EmbedRequest, Usage, chat_request
from tests.runtimes.fakes.shot import DoubleRequest
from tests.runtimes.fakes.steps import PaintResult

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)


def back(message, **how):
    header, buffers = encode(message)
    return decode(header, [memoryview(bytes(buffer)) for buffer in buffers], **how)


@given(st.dictionaries(st.text(max_size=4), json_values))
def test_json_comes_back_as_it_was(message):
    assert back(message) == message


@given(st.dictionaries(st.sampled_from(["\0a", "\0b", "\0f", "\0t", "\0", "\0\0a", "v"]), st.integers()))
def test_keys_that_look_like_marks_are_only_keys(message):
    assert back({"x": message}) == {"x": message}


@given(st.lists(st.binary(), max_size=4))
def test_bytes_come_back(pieces):
    assert back({"pieces": pieces}) == {"pieces": pieces}


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6, dtype="float32").reshape(2, 3),
        np.arange(6, dtype="float32").reshape(2, 3).T,
        np.zeros((0, 4), "int64"),
        np.array(3.5),
        np.array([True, False]),
        np.arange(20, dtype=">i2")[::3],
        np.array(["2026-01-01"], "datetime64[D]"),
        np.arange(4, dtype="float16"),
        np.array([1 + 2j]),
    ],
    ids=lambda array: f"{array.dtype}-{array.shape}",
)
def test_arrays_come_back_with_type_and_shape(array):
    found = back({"array": array})["array"]
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert (found == array).all()


def test_an_array_is_read_only_and_shares_the_bytes():
    found = back({"array": np.zeros(3)})["array"]
    assert not found.flags.writeable
    assert not found.flags.owndata


def test_facts_come_back_as_their_kind():
    request = chat_request("Hi", temperature=0.5, stop=["\0a"])
    assert back({"request": request}) == {"request": request}
    half = ChatChunk(text="\ud83d")
    assert back({"half": half}) == {"half": half}
    image = DoubleRequest(image=np.eye(3))
    assert back({"request": image}) == {"request": image}


@pytest.mark.parametrize(
    "value",
    [object(), {1, object()}, np.array([object()]), np.zeros(2, [("a", "i4")]), {1: 2}, 1 + 2j],
)
def test_what_cannot_be_sent_is_refused(value):
    with pytest.raises(InvalidInput):
        encode({"value": value})


@pytest.mark.parametrize("change", [{}, {"__module__": "__main__", "__qualname__": "Scripts"}])
def test_a_kind_that_no_other_process_finds_is_refused(change):
    class Local(Fact):
        pass

    for name, value in change.items():
        setattr(Local, name, value)
    with pytest.raises(InvalidInput, match="top of a module"):
        encode({"fact": Local()})


@pytest.mark.parametrize(
    "name",
    ["os:system", "modelhub.errors:ModelHubError", "nowhere:Nothing", "json", ":", "os:path.join"],
)
def test_only_kinds_of_facts_are_found(name):
    with pytest.raises(LookupError):
        find_kind(name, may_import=True)


def test_the_parent_imports_nothing_for_a_child():
    with pytest.raises(LookupError):
        find_kind("tests.runtimes.broken.nothing_imports_this:Fact", may_import=False)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[1",
        json.dumps({"x": {"\0b": 3}}).encode(),
        json.dumps({"x": {"\0b": -9}}).encode(),
        json.dumps({"x": {"\0a": 0, "t": "<f4", "s": [7]}}).encode(),
        json.dumps({"x": {"\0a": 0, "t": "<f4", "s": [-1]}}).encode(),
        json.dumps({"x": {"\0a": 0, "t": "|O", "s": [1]}}).encode(),
        json.dumps({"x": {"\0a": 0, "t": "no type", "s": [1]}}).encode(),
        json.dumps({"x": {"\0f": "os:system", "v": {}}}).encode(),
        json.dumps({"x": {"\0f": "modelhub.tasks.text:ChatRequest", "v": {}}}).encode(),
    ],
)
def test_bytes_that_are_no_message_are_an_error(header):
    with pytest.raises((ValueError, LookupError, TypeError)):
        decode(header, [memoryview(b"12345678")])


def test_an_error_comes_back_with_its_cause():
    try:
        try:
            raise KeyError("no such layer")  # noqa: TRY301 - it is to have a traceback
        except KeyError as cause:
            raise LoadFailed("it failed", hint="Try again.", path="x") from cause
    except LoadFailed as error:
        sent = back(error_message(error))
    found = read_error(sent)
    assert type(found) is LoadFailed
    assert (found.message, found.hint, found.details) == ("it failed", "Try again.", {"path": "x"})
    assert isinstance(found.__cause__, ChildFailure)
    assert "no such layer" in str(found.__cause__)
    assert "test_wire.py" in found.__cause__.trace


@pytest.mark.parametrize("message", [{}, {"error": 3}, {"error": {}}, {"error": {"code": 5}}])
def test_an_error_that_cannot_be_read_is_an_engine_error(message):
    assert isinstance(read_error(message), ModelHubError)
    assert isinstance(read_error({}), EngineError)


def reply(parsed=None):
    usage = Usage(prompt_tokens=1, completion_tokens=2)
    return ChatReply(text="\0tx", finish_reason="stop", usage=usage, parsed=parsed)


@pytest.mark.parametrize(
    ("fact", "plain"),
    [
        (chat_request("Hi", temperature=0.5, stop=["\0t"], response_format={"enum": [1]}), True),
        (reply(), True),
        (reply({"a": [1.5, float("inf")]}), False),
        (EmbedRequest(texts=("a",)), True),
        (DoubleRequest(image=np.eye(3)), False),
        (PaintResult(picture=b"\xff"), False),
        (Device(name="cpu", kind="cpu", memory_total=1, memory_free=1), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fact) else "",
)
def test_plain_facts_travel_as_text_and_all_come_back(fact, plain):
    assert is_plain(fact) == plain
    found = back({"fact": fact})["fact"]
    assert (type(found), found) == (type(fact), fact)


class Loose(Fact):
    number: float
    inner: dict[str, tuple[float, ...]]


@pytest.mark.parametrize("number", [float("inf"), float("-inf"), 1e308, 5e-324, -0.0])
def test_every_number_comes_back(number):
    fact = Loose(number=number, inner={"x": (number,)})
    assert is_plain(fact)
    assert repr(back({"fact": fact})["fact"]) == repr(fact)
