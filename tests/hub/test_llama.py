"""GGUF models through a Hub by either runtime on llama.cpp, in this process and in one of its own."""

import pytest

from tests.zoo.repos import chat_answers

from .conftest import MODEL

pytest.importorskip("llama_cpp", reason="the llama extra is not installed")
pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")


@pytest.mark.parametrize("runtime", ["llama_cpp", "llama_server"])
@pytest.mark.parametrize("host", ["thread", "process"])
def test_the_zoo_answers_to_the_letter(make_hub, runtime, host):
    hub = make_hub(host=host)
    how = {"runtime": runtime, "temperature": 0, "options": {"n_threads": 1}}
    for case in chat_answers()[:6]:
        reply = hub.chat(f"{MODEL}:q8_0", case.messages, **how)
        assert (reply.text, reply.provenance.runtime) == (case.answer, runtime)
    assert "".join(map(str, hub.chat(f"{MODEL}:q8_0", case.messages, stream=True, **how))) == case.answer


def test_where_both_are_installed_it_is_the_server(make_hub):
    assert make_hub().plan(MODEL).runtime == "llama_server"
