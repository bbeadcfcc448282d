import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import ContextTooLong, EngineError, InvalidInput
from modelhub.runtimes.llama.context import DEFAULT_CONTEXT, context_size
from modelhub.runtimes.llama.options import LlamaOptions, threads
from modelhub.runtimes.llama_server.reason import read_reason
from modelhub.runtimes.llama_server.wire import Piece, payload, read_piece
from modelhub.tasks import FinishReason, Usage, chat_request
from tests.runtimes.zoo import on_another_device


def chunk(delta: object, finish: str | None = None) -> dict[str, object]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_what_the_caller_left_out_is_left_out() -> None:
    sent = payload(chat_request("Hi"))
    assert sent["messages"] == [{"role": "user", "content": "Hi"}]
    assert sent["stream"] is True
    assert not {"max_tokens", "temperature", "top_p", "top_k", "seed", "stop"} & set(sent)


def test_what_the_caller_said_is_said_zero_too() -> None:
    request = chat_request("Hi", max_tokens=5, temperature=0, top_p=0.5, top_k=0, seed=0, stop="x")
    sent = payload(request)
    assert {
        name: sent[name] for name in ("max_tokens", "temperature", "top_p", "top_k", "seed", "stop")
    } == {
        "max_tokens": 5,
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 0,
        "seed": 0,
        "stop": ["x"],
    }


@given(st.text(min_size=1).filter(str.strip), st.sampled_from(["system", "assistant"]))
def test_a_request_is_json(text: str, role: str) -> None:
    turns = [{"role": role, "content": text}, {"role": "user", "content": text}]
    assert json.loads(json.dumps(payload(chat_request(turns))))["messages"] == turns


@pytest.mark.parametrize(
    ("message", "piece"),
    [
        (chunk({"role": "assistant", "content": None}), Piece()),
        (chunk({"content": "Zü"}), Piece(text="Zü")),
        (chunk({"reasoning_content": "hm"}), Piece(reasoning="hm")),
        (chunk({}, "stop"), Piece(finish=FinishReason.STOP)),
        (chunk({}, "length"), Piece(finish=FinishReason.LENGTH)),
        (chunk({}, "something new"), Piece(finish=FinishReason.STOP)),
        (
            {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}},
            Piece(usage=Usage(prompt_tokens=3, completion_tokens=2)),
        ),
        ({}, Piece()),
    ],
)
def test_messages_of_the_engine(message: dict[str, object], piece: Piece) -> None:
    assert read_piece(message) == piece


def test_a_prompt_that_is_too_long() -> None:
    error = {
        "code": 400,
        "type": "exceed_context_size_error",
        "message": "request (819 tokens) exceeds the available context size (512 tokens)",
        "n_prompt_tokens": 819,
        "n_ctx": 512,
    }
    with pytest.raises(ContextTooLong, match="819 tokens, and the context holds 512") as caught:
        read_piece({"error": error})
    assert caught.value.details == {"field": "messages", "prompt_tokens": 819, "context_length": 512}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 400, "message": "bad template", "type": "invalid_request_error"}, InvalidInput),
        ({"code": 500, "message": "compute error", "type": "server_error"}, EngineError),
        ({}, EngineError),
    ],
)
def test_other_errors(error: dict[str, object], kind: type[Exception]) -> None:
    with pytest.raises(kind, match=str(error.get("message", "llama.cpp failed"))):
        read_piece({"error": error})


LOG = """\
0.00.002 W srv          init: security: no API key is set
0.00.005.030 E llama_model_load: error loading model: tensor 'blk.0.ffn_down.weight' data is not within the file bounds
0.00.005.089 E llama_model_load_from_file_impl: failed to load model
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (LOG, "tensor 'blk.0.ffn_down.weight' data is not within the file bounds"),
        (
            "0.1 E llama_init: failed to allocate buffer for kv cache\n",
            "failed to allocate buffer for kv cache",
        ),
        ("0.1 E srv  strange: no\n", "srv  strange: no"),
        ("Segmentation fault\n", ""),
        ("", ""),
    ],
)
def test_the_reason_in_a_log(log: str, reason: str) -> None:
    assert read_reason(log) == reason


@pytest.mark.parametrize(
    ("asked", "trained", "size"),
    [
        (None, 1024, 1024),
        (None, 131072, DEFAULT_CONTEXT),
        (None, None, DEFAULT_CONTEXT),
        (4096, 131072, 4096),
        (100_000, 131072, 100_096),
        (300, 300, 300),
        (1 << 20, None, 1 << 20),
    ],
)
def test_the_context(asked: int | None, trained: int | None, size: int) -> None:
    assert context_size(asked, trained) == size


def test_a_context_beyond_training() -> None:
    with pytest.raises(InvalidInput, match="trained for 1024 tokens, not 1025"):
        context_size(1025, 1024)


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    device = on_another_device("cpu")
    free, quota = device.model_copy(update={"cores": 8}), device.model_copy(update={"cores": 3})
    assert threads(LlamaOptions(), free) is None
    assert threads(LlamaOptions(), quota) == 3
    assert threads(LlamaOptions(), device) is None
    assert threads(LlamaOptions(n_threads=5), quota) == 5
