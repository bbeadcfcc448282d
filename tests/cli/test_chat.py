"""`modelhub chat`: a conversation, its errors and its end."""

import io
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from modelhub.errors import EngineError
from modelhub.runtimes.echo import EchoInstance
from modelhub.tasks import ChatChunk, FinishReason, Usage
from tests.cli.conftest import CASE, MODEL, PATIENCE, QUESTION
from tests.runtimes.random_gguf import write_random_gguf

ECHO = ("--runtime", "echo")


class Terminal(io.StringIO):
    """Somebody who types these lines, then Ctrl-D."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def type_lines(monkeypatch):
    return lambda *lines: monkeypatch.setattr(sys, "stdin", Terminal("".join(f"{x}\n" for x in lines)))


def read_json(text: str) -> list:
    """JSON values, one after the other, and nothing between them."""
    reader, values, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        value, end = reader.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def test_a_conversation_keeps_what_was_said(run, type_lines, monkeypatch):
    asked = []
    answer = EchoInstance._chunks
    monkeypatch.setattr(
        EchoInstance, "_chunks", lambda *args: asked.append(args[1].messages) or answer(*args)
    )
    type_lines("one", "", "  two  ")
    status, out, err = run("chat", MODEL, "--system", "be kind", *ECHO)
    assert (status, out) == (0, "one\ntwo\n")
    assert err.count("> ") == 4  # three lines and the end
    assert [[message.content for message in messages] for messages in asked] == [
        ["be kind", "one"],
        ["be kind", "one", "one", "two"],
    ]


def test_a_conversation_survives_a_question_that_fails(run, type_lines):
    type_lines("word " * 3000, QUESTION)
    status, out, err = run("chat", f"{MODEL}:q8_0", "--temperature", "0")
    assert (status, out) == (0, CASE.answer + "\n")  # and the failed question is forgotten
    assert "error: the prompt has" in err
    assert "Shorten the messages" in err


def test_an_error_within_an_answer_stands_on_a_line_of_its_own(run, type_lines, monkeypatch):
    def chunks(*_):
        yield ChatChunk(text="half an ans")
        raise EngineError("the engine gave up")

    monkeypatch.setattr(EchoInstance, "_chunks", chunks)
    type_lines("one", "two")
    status, out, err = run("chat", MODEL, *ECHO)
    assert (status, out) == (0, "half an ans\n" * 2)
    assert err.count("error: the engine gave up\n") == 2
    status, out, err = run("chat", MODEL, "one", *ECHO)
    assert (status, out, err) == (1, "half an ans\n", "error: the engine gave up\n")


def test_debug_shows_where_a_turn_failed(run, type_lines, monkeypatch, caplog):
    def chunks(*_):
        raise EngineError("the engine gave up")
        yield

    monkeypatch.setattr(EchoInstance, "_chunks", chunks)
    type_lines("one")
    with caplog.at_level("DEBUG", logger="modelhub.cli"):
        assert run("chat", MODEL, *ECHO)[0] == 0
    (record,) = [record for record in caplog.records if record.message == "turn_failed"]
    assert record.exc_info[0] is EngineError


def test_a_conversation_in_json_is_nothing_but_json(run, type_lines):
    type_lines("one", "word " * 3000, "two")
    status, out, err = run("chat", f"{MODEL}:q8_0", "--json", "--max-tokens", "2")
    assert status == 0
    assert [reply["usage"]["completion_tokens"] for reply in read_json(out)] == [2, 2]
    assert "the prompt has" in err


def test_what_a_model_thinks_is_not_its_answer(run, monkeypatch):
    def chunks(*_):
        yield ChatChunk(reasoning="hm, ")
        yield ChatChunk(reasoning="well")
        yield ChatChunk(text="yes")
        yield ChatChunk(
            finish_reason=FinishReason.STOP, usage=Usage(prompt_tokens=1, completion_tokens=3)
        )

    monkeypatch.setattr(EchoInstance, "_chunks", chunks)
    status, out, err = run("chat", MODEL, "really?", *ECHO)
    assert (status, out, err) == (0, "yes\n", "hm, well\n\n")


def test_options_go_to_the_runtime(run):
    status, out, err = run("chat", MODEL, "one two", *ECHO, "--option", "delay=0.01")
    assert (status, out) == (0, "one two\n")
    status, _, err = run("chat", MODEL, "one", *ECHO, "--option", "delay=soon")
    assert status == 1
    assert "delay" in err
    assert "'soon'" in err
    status, _, err = run("chat", f"{MODEL}:q8_0", QUESTION, "--option", "n_ctx=300000")
    assert status == 1
    assert "trained for 1024 tokens, not 300000" in err
    long = "word " * 400
    status, _, err = run("chat", f"{MODEL}:q8_0", long, "--option", "n_ctx=256", "--max-tokens", "1")
    assert status == 1
    assert "the context holds 256" in err


def test_options_count_in_a_plan(run):
    memory = [
        json.loads(run("plan", f"{MODEL}:q8_0", "--option", f"n_ctx={n_ctx}", "--json")[1])["memory"]
        for n_ctx in (256, 1024)
    ]
    assert memory[0] < memory[1]


def test_values_of_options_are_json_or_text():
    from modelhub.cli.app import _options

    pairs = ["a=1", "b=0.5", "c=true", "d=null", 'e="5"', "f=q8_0", "g=x=y", "h=", "i=[1, 2]", "j=NaN"]
    assert _options([*pairs, "a=2"]) == {
        "a": 2,
        "b": 0.5,
        "c": True,
        "d": None,
        "e": "5",
        "f": "q8_0",
        "g": "x=y",
        "h": "",
        "i": [1, 2],
        "j": "NaN",
    }
    assert _options(None) == {}


def test_input_that_is_no_text(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"what is \xff?"), encoding="utf-8"))
    status, out, err = run("chat", MODEL, "-")
    assert (status, out) == (1, "")
    assert "standard input is not utf-8 text" in err
    assert "at byte 8" in err


@pytest.fixture(scope="module")
def endless(tmp_path_factory):
    """A model that writes for tens of seconds."""
    path = tmp_path_factory.mktemp("endless") / "endless.gguf"
    return write_random_gguf(path, context=8192, hidden=512, layers=8)


HOSTS = [{"MODELHUB_HOST": "thread"}, {"MODELHUB_HOST": "process"}]


def children(pid):
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [child for child in listed.split() if Path(f"/proc/{child}").exists()]


@pytest.mark.parametrize("env", HOSTS, ids=lambda env: env["MODELHUB_HOST"])
def test_ctrl_c_ends_the_program(start, endless, env):
    how = {"env": env, "start_new_session": True}
    chat = start("chat", endless, "Tell me everything.", "--temperature", "0", **how)
    assert chat.stdout.read(1)  # it writes now
    held_by = children(chat.pid)
    assert len(held_by) == (env["MODELHUB_HOST"] == "process")
    os.killpg(chat.pid, signal.SIGINT)  # as the terminal sends it: to all in the foreground
    _, err = chat.communicate(timeout=PATIENCE)
    assert chat.returncode == 130
    assert err == b""
    assert not [child for child in held_by if Path(f"/proc/{child}").exists()]


@pytest.fixture
def terminal():
    """A terminal's two ends: ours, and the one that is a program's standard input."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keyboard, os.fdopen(theirs, "rb") as screen:
        yield keyboard, screen


def read_until(stream, text: bytes) -> None:
    seen = b""
    while not seen.endswith(text):
        piece = stream.read(1)
        assert piece, f"ended with {seen!r}, without {text!r}"
        seen += piece


def drain(stream) -> None:
    """Read what is there now."""
    os.set_blocking(stream.fileno(), False)
    stream.read()
    os.set_blocking(stream.fileno(), True)


@pytest.mark.parametrize("env", HOSTS, ids=lambda env: env["MODELHUB_HOST"])
def test_ctrl_c_in_a_conversation_ends_the_answer(start, endless, terminal, env):
    keyboard, screen = terminal
    chat = start("chat", endless, "--temperature", "0", stdin=screen, env=env)
    for _ in range(2):
        read_until(chat.stderr, b"> ")
        drain(chat.stdout)  # else what is left of the first answer would pass for the second
        keyboard.write(b"Tell me everything.\n")
        assert chat.stdout.read(1)
        chat.send_signal(signal.SIGINT)
        read_until(chat.stderr, b"(stopped)\n")
    read_until(chat.stderr, b"> ")
    keyboard.write(b"\x04")
    _, err = chat.communicate(timeout=PATIENCE)
    assert (chat.returncode, err) == (0, b"\n")


def test_ctrl_c_between_answers_ends_the_conversation(start, terminal):
    chat = start("chat", MODEL, *ECHO, stdin=terminal[1])
    read_until(chat.stderr, b"> ")
    chat.send_signal(signal.SIGINT)
    assert chat.communicate(timeout=PATIENCE) == (b"", b"")
    assert chat.returncode == 130


def test_an_answer_by_a_schema(run, tmp_path):
    schema = tmp_path / "schema.json"
    schema.write_text('{"enum": ["yes", "no"]}')
    status, out, _ = run("chat", f"{MODEL}:q8_0", QUESTION, "--schema", str(schema))
    assert status == 0
    assert json.loads(out) in {"yes", "no"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "holds a list"),
        ('{"not": {}}', "schema.not"),
        (None, "No such"),
    ],
)
def test_a_schema_that_is_none(run, tmp_path, content, says):
    schema = tmp_path / "schema.json"
    if content is not None:
        schema.write_text(content)
    status, out, err = run("chat", f"{MODEL}:q8_0", QUESTION, "--schema", str(schema))
    assert (status, out) == (1, "")
    assert says in err
