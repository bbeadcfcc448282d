"""llama.cpp's server: the contract, the zoo to the letter, and more ways to end early."""

import gc
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import (
    Cancelled,
    DeadlineExceeded,
)
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import LIVENESS, Subject
from modelhub.tasks import ChatRequest, FinishReason, Request, chat_request
from tests.runtimes.llama_contract import ONE_THREAD, LlamaContract
from tests.runtimes.zoo import chat_bundle

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")


def prompt_tokens(instance: Instance) -> int:
    """How many the engine has read, by its own count, in prompts that it read to their end."""
    metrics = instance._engine._held[0].handle_metrics()  # type: ignore[attr-defined]
    counts = [
        line.split()[1]
        for line in metrics.splitlines()
        if line.startswith("llamacpp:prompt_tokens_total")
    ]
    return int(float(counts[0]))


class FailingLlamaServer(LlamaServerRuntime):
    """Its engine fails when it is asked."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = super().load(bundle, device, options, parts)
        instance._engine.ask = _fail
        return instance


def _fail(*_: object) -> None:
    raise RuntimeError("the tensor is a teapot")


class TestLlamaServer(LlamaContract):
    runtime = LlamaServerRuntime
    extra = "llama-server"

    def make_failing(self) -> tuple[Subject, Request, str]:
        subject = Subject(FailingLlamaServer(), chat_bundle("q8_0"), ONE_THREAD)
        return subject, chat_request("Hi"), "a teapot"

    @pytest.fixture(scope="class")
    @classmethod
    def long_prompt(cls) -> ChatRequest:
        """A prompt that takes seconds before the first token: bytes are tokens here."""
        return chat_request("x" * 7800, temperature=0, max_tokens=2)

    # More ways to end early

    def test_cancel_while_the_prompt_is_read(self, endless: Subject, long_prompt: ChatRequest) -> None:
        slow = endless.load()
        with pytest.raises(DeadlineExceeded):
            list(slow.stream(long_prompt, Call(timeout=0.2)))
        call = Call(timeout=LIVENESS)
        next_one = slow.stream(chat_request("Hi", max_tokens=2), call)
        assert list(next_one)[-1].finish_reason is FinishReason.LENGTH
        assert 0 < prompt_tokens(slow) < 7800
        slow.close()

    def test_a_stream_half_read_is_in_nobodys_way(self, slow: Instance) -> None:
        half = slow.stream(chat_request("Hi", temperature=0, max_tokens=20), Call())
        first = next(half)
        slow.infer(chat_request("Hi", max_tokens=2), Call(timeout=LIVENESS))
        rest = "".join(chunk.text for chunk in half)
        assert len(first.text + rest) == 20

    def test_a_call_that_waits_for_its_turn_can_be_cancelled(
        self, slow: Instance, endless_request: ChatRequest
    ) -> None:
        running = slow.stream(endless_request, Call())
        next(running)
        with pytest.raises(DeadlineExceeded):
            slow.infer(endless_request, Call(timeout=0.2))
        call = Call()
        call.cancel()
        with pytest.raises(Cancelled):
            slow.infer(endless_request, call)
        running.close()

    # What it holds

    def test_an_instance_nobody_holds_is_unloaded(
        self, subject: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with tempfile.TemporaryDirectory(prefix="mh-") as place:
            monkeypatch.setattr("tempfile.tempdir", place)
            instance = subject.load()
            assert len(list(Path(place).iterdir())) == 1
            gone = weakref.ref(instance)
            del instance
            gc.collect()
            assert gone() is None
            assert list(Path(place).iterdir()) == []
