"""The spine: a repository's name in, an exact answer out, through every room."""

import contextlib
import gc
import hashlib
import shutil
import threading
import time

import pytest

from modelhub import Hub
from modelhub.errors import (
    Cancelled,
    ContextTooLong,
    DeadlineExceeded,
    DoesNotFit,
    InvalidInput,
    TaskNotSupported,
)
from modelhub.facts import Device
from modelhub.hub import planning
from modelhub.tasks import FinishReason, Request
from tests.zoo.hub_server import Fault
from tests.zoo.repos import chat_answers

from .conftest import MODEL

CASES = chat_answers()
ONE = {"n_threads": 1}  # two threads of a busy machine wait for one another on a model this small
LONG = max(CASES, key=lambda case: len(case.answer))


def messages(case):
    return [dict(message) for message in case.messages]


@pytest.mark.parametrize("variant", ["fp16", "q8_0"])
def test_every_answer_is_exact(hub, variant):
    for case in CASES:
        reply = hub.chat(MODEL, messages(case), variant=variant, temperature=0, options=ONE)
        assert reply.text == case.answer
        assert reply.finish_reason is FinishReason.STOP
        assert reply.usage.prompt_tokens > 0
        assert reply.usage.completion_tokens > 0


@pytest.mark.parametrize("tag", ["q4_0", "q4_k_m"])
def test_small_quantizations_know_nine_answers_in_ten(hub, tag):
    right = [
        hub.chat(f"{MODEL}:{tag}", messages(c), temperature=0, options=ONE).text == c.answer
        for c in CASES
    ]
    assert sum(right) >= 0.9 * len(right)


def test_every_answer_is_exact_when_streamed(hub):
    for case in CASES:
        chunks = list(hub.chat(MODEL, messages(case), stream=True, temperature=0, options=ONE))
        assert "".join(chunk.text for chunk in chunks) == case.answer
        assert [chunk.finish_reason for chunk in chunks if chunk.finish_reason] == [FinishReason.STOP]
        assert chunks[-1].finish_reason is FinishReason.STOP
        assert chunks[-1].usage is not None
    many = list(hub.chat(MODEL, messages(LONG), stream=True, temperature=0))
    assert len(many) > 10


def test_provenance_names_the_bytes(hub, server, zoo_gguf):
    reply = hub.chat(f"{MODEL}:q8_0", messages(CASES[0]), temperature=0)
    (file,) = [path for path in zoo_gguf.iterdir() if path.name.endswith("q8_0.gguf")]
    assert reply.provenance is not None
    assert reply.provenance.repo == MODEL
    assert reply.provenance.commit == server.commit(MODEL)
    assert reply.provenance.variant == "q8_0"
    assert reply.provenance.runtime == "llama_server"
    assert [weight.sha256 for weight in reply.provenance.files] == [
        hashlib.sha256(file.read_bytes()).hexdigest()
    ]
    *_, last = hub.chat(f"{MODEL}:q8_0", messages(CASES[0]), stream=True, temperature=0)
    assert last.provenance == reply.provenance


def test_a_text_is_a_user_message(hub):
    case = next(case for case in CASES if len(case.messages) == 1)
    assert hub.chat(MODEL, case.messages[0]["content"], temperature=0).text == case.answer


def test_the_second_time_nothing_moves(hub, server):
    hub.chat(MODEL, messages(CASES[0]), temperature=0)
    server.reset_counts()
    assert hub.chat(MODEL, messages(CASES[0]), temperature=0).text == CASES[0].answer
    assert server.requests == []


def test_max_tokens_and_stop_end_the_answer(hub):
    short = hub.chat(MODEL, messages(LONG), temperature=0, max_tokens=3)
    assert short.finish_reason is FinishReason.LENGTH
    assert short.usage.completion_tokens == 3
    assert LONG.answer.startswith(short.text)
    word = LONG.answer.split()[2]
    stopped = hub.chat(MODEL, messages(LONG), temperature=0, stop=word)
    assert stopped.text == LONG.answer[: LONG.answer.index(word)]
    assert stopped.finish_reason is FinishReason.STOP


def test_a_seed_repeats_a_draw(hub):
    draw = {"temperature": 50.0, "top_k": 0, "top_p": 1.0, "max_tokens": 24}
    first = hub.chat(MODEL, "Once upon", seed=7, **draw).text
    assert hub.chat(MODEL, "Once upon", seed=7, **draw).text == first
    others = {hub.chat(MODEL, "Once upon", seed=seed, **draw).text for seed in range(8, 14)}
    assert others != {first}


def slow_echo(hub, words=2000):
    """A stream that would take minutes to its end, and says when its engine has stopped."""
    return hub.chat(MODEL, "word " * words, stream=True, runtime="echo", options={"delay": 0.1})


@pytest.mark.parametrize("leave", ["close", "with", "drop"])
def test_a_reader_who_stops_stops_the_engine(hub, caplog, leave):
    with caplog.at_level("INFO", logger="modelhub.hub"):
        stream = slow_echo(hub)
        next(stream)
        if leave == "close":
            stream.close()
            assert list(stream) == []
        elif leave == "with":
            with stream:
                next(stream)
        del stream
        gc.collect()
    (told,) = [record for record in caplog.records if record.message == "inference"]
    assert (told.status, told.variant, told.runtime_type) == ("cancelled", "fp16", "echo")
    assert not any(state.in_flight for state in hub._serving.instances.list())


def test_a_stream_is_closed_from_another_thread(hub):
    stream = slow_echo(hub)
    next(stream)
    threading.Timer(0.2, stream.close).start()
    began = time.monotonic()
    with contextlib.suppress(Cancelled):
        for _ in stream:
            pass
    assert time.monotonic() - began < 60
    assert not any(state.in_flight for state in hub._serving.instances.list())


def test_a_real_engine_goes_on_after_a_stream_was_left(hub):
    for _ in range(3):
        for chunk in hub.chat(MODEL, messages(LONG), stream=True, temperature=0):
            assert chunk is not None
            break
    assert hub.chat(MODEL, messages(CASES[0]), temperature=0).text == CASES[0].answer


def test_many_threads_share_one_hub(hub):
    answers: dict[int, str] = {}

    def ask(index: int) -> None:
        answers[index] = hub.chat(MODEL, messages(CASES[index]), temperature=0).text

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert answers == {index: CASES[index].answer for index in range(8)}


def test_a_timeout_is_kept(hub):
    with pytest.raises(DeadlineExceeded):
        hub.chat(MODEL, "word " * 2000, runtime="echo", options={"delay": 0.05}, timeout=0.5)
    with pytest.raises(DeadlineExceeded):
        list(
            hub.chat(
                MODEL, "word " * 2000, runtime="echo", options={"delay": 0.05}, timeout=0.5, stream=True
            )
        )
    with pytest.raises(InvalidInput, match="timeout"):
        hub.chat(MODEL, "x", timeout=0)


def test_a_timeout_counts_what_comes_before_the_answer(hub, server):
    server.faults["*/tree/*"] = Fault(delay=1.5)
    with pytest.raises(DeadlineExceeded):
        hub.chat(MODEL, "x", timeout=0.5)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": ""}, "messages.0.content"),
        ({"messages": " \n"}, "messages.0.content"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "wizard"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "system", "content": "x"}]}, "nothing to answer"),
        ({"messages": {"role": "user", "content": "x"}}, "not dict"),
        ({"messages": 3}, "not int"),
        ({"messages": "x", "temperature": -1}, "temperature"),
        ({"messages": "x", "temperature": float("nan")}, "temperature"),
        ({"messages": "x", "max_tokens": 0}, "max_tokens"),
        ({"messages": "x", "top_p": 1.5}, "top_p"),
        ({"messages": "x", "top_k": -1}, "top_k"),
        ({"messages": "x", "seed": -1}, "seed"),
        ({"messages": "x", "stop": [""]}, "stop"),
        ({"messages": "x", "temprature": 1}, "temprature"),
    ],
)
def test_bad_requests_are_refused_before_any_work(make_hub, server, given, named):
    hub = make_hub()
    server.reset_counts()
    asked = given.pop("messages")
    with pytest.raises(InvalidInput, match=named):
        hub.chat("zoo/never-asked-for", asked, **given)
    assert server.requests == []


def test_a_prompt_longer_than_the_context_is_refused(hub):
    with pytest.raises(ContextTooLong) as caught:
        hub.chat(MODEL, "word " * 5000, temperature=0)
    assert "context" in str(caught.value)
    assert hub.chat(MODEL, messages(CASES[0]), temperature=0).text == CASES[0].answer


def test_a_task_that_the_model_does_not_serve(hub):
    from modelhub.tasks import chat_request

    with pytest.raises(TaskNotSupported, match="object-detection") as caught:
        hub.run("detect", MODEL, chat_request("x"))
    assert caught.value.hint == "It serves text-generation."


def test_a_context_option_reaches_the_engine(hub):
    with pytest.raises(ContextTooLong):
        hub.chat(MODEL, "word " * 600, options={"n_ctx": 256})
    with pytest.raises(InvalidInput, match="n_ctxx"):
        hub.chat(MODEL, "x", options={"n_ctxx": 256})


def test_bad_options_and_requests_are_refused_before_a_weight_moves(hub, server):
    hub.sync(MODEL)
    server.reset_counts()
    with pytest.raises(InvalidInput, match="n_ctxx"):
        hub.chat(MODEL, "x", options={"n_ctxx": 256})
    with pytest.raises(InvalidInput, match="ChatRequest"):
        hub.run("chat", MODEL, Request())
    with pytest.raises(InvalidInput, match="options"):
        hub.chat(MODEL, "x", options=[1])
    with pytest.raises(InvalidInput, match="variant"):
        hub.chat(MODEL, "x", variant=["q8_0"])
    assert server.requests == []


def test_a_loaded_model_is_not_in_its_own_way(hub, monkeypatch):
    """What is loaded has taken the memory that it needs: it need not find it free again."""
    full = Device(name="cpu", kind="cpu", memory_total=10**9, memory_free=10**9)
    monkeypatch.setattr(planning, "devices", lambda: (full,))
    first = hub.chat(MODEL, messages(CASES[0]), temperature=0, options=ONE)
    empty = full.model_copy(update={"memory_free": 1000})
    monkeypatch.setattr(planning, "devices", lambda: (empty,))
    again = hub.chat(MODEL, messages(CASES[0]), temperature=0, options=ONE)
    assert again.provenance == first.provenance
    hub.sync(MODEL)
    assert hub.chat(MODEL, messages(CASES[0]), temperature=0, options=ONE).provenance == first.provenance
    plan = hub.plan(MODEL, options=ONE)
    assert (plan.variant, plan.fits) == (first.provenance.variant, True)
    assert len(hub._serving.instances.list()) == 1
    with pytest.raises(DoesNotFit, match="needs"):
        hub.chat(MODEL, "x", variant="q8_0")


def test_what_another_hub_fetched_is_told_apart(make_hub, zoo_gguf, tmp_path):
    """Two models whose hashes nobody knew before they were fetched, by somebody else."""
    for name in ("q8_0", "q4_0"):
        (tmp_path / name).mkdir()
        shutil.copy(zoo_gguf / f"zoo-chat-{name}.gguf", tmp_path / name)
    hub, other = make_hub(), make_hub()
    for name in ("q8_0", "q4_0"):
        hub.inspect(tmp_path / name)
        other.pull(tmp_path / name)
    replies = [hub.chat(tmp_path / name, messages(CASES[0]), temperature=0) for name in ("q8_0", "q4_0")]
    assert all(len(reply.provenance.files) == 1 for reply in replies)
    assert replies[0].provenance.files != replies[1].provenance.files
    assert len(hub._serving.instances.list()) == 2


def test_each_request_is_one_event_without_content(hub, caplog):
    with caplog.at_level("INFO"):
        hub.chat(MODEL, messages(CASES[0]), temperature=0)
        list(hub.chat(MODEL, messages(CASES[0]), temperature=0, stream=True))
        with pytest.raises(ContextTooLong):
            hub.chat(MODEL, "word " * 5000)
    told = [record for record in caplog.records if record.message == "inference"]
    assert [record.status for record in told] == ["ok", "ok", "error"]
    assert told[2].error_type == "context_too_long"
    assert all(record.model_repo_name == MODEL and record.latency_ms > 0 for record in told)


def test_echo_must_be_named(hub: Hub):
    assert hub.chat(MODEL, "one two", runtime="echo").text == "one two"
    assert hub.plan(MODEL).runtime == "llama_server"
