"""The spine: a repository's name in, an exact answer out, through every room."""

import hashlib
import threading
import time

import pytest

from modelhub import Hub
from modelhub.errors import ContextTooLong, DeadlineExceeded, InvalidInput, TaskNotSupported
from modelhub.tasks import FinishReason
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


def test_a_reader_who_stops_stops_the_engine(hub):
    for _ in range(3):
        stream = hub.chat(MODEL, messages(LONG), stream=True, temperature=0)
        next(stream)
        stream.close()
    assert list(stream) == []
    assert hub.chat(MODEL, messages(CASES[0]), temperature=0).text == CASES[0].answer


def test_a_stream_that_is_dropped_lets_the_model_go(hub):
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
    hub.chat(MODEL, messages(CASES[0]), temperature=0)
    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        hub.chat(MODEL, messages(LONG), temperature=0, timeout=1e-6)
    assert time.monotonic() - began < 30
    with pytest.raises(InvalidInput, match="timeout"):
        hub.chat(MODEL, "x", timeout=0)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"messages": []}, "messages"),
        ({"messages": ""}, "messages.0.content"),
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


def test_echo_must_be_named(hub: Hub):
    assert hub.chat(MODEL, "one two", runtime="echo").text == "one two"
    assert hub.plan(MODEL).runtime == "llama_server"
