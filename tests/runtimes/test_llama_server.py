import gc
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelhub.errors import (
    Cancelled,
    ContextTooLong,
    DeadlineExceeded,
    FormatError,
    InvalidInput,
    LoadFailed,
    RuntimeNotInstalled,
)
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts, Runtimes, SharedParts, find_device
from modelhub.runtimes.llama_server import LlamaServerRuntime
from modelhub.runtimes.testing import LIVENESS, Case, ChatContract, Subject
from modelhub.tasks import ChatRequest, FinishReason, Request, chat_request
from tests.runtimes.random_gguf import write_random_gguf
from tests.runtimes.zoo import CONTEXT, bundle, chat_bundle, chat_folder, on_another_device
from tests.zoo.repos import chat_answers

ONE_THREAD = {"n_threads": 1}
"""Two would spin against each other on a machine that is busy."""

pytest.importorskip("xllamacpp", reason="the llama-server extra is not installed")


def zoo(precision: str = "q8_0", **options: object) -> Subject:
    return Subject(Runtimes().load("llama_server"), chat_bundle(precision), ONE_THREAD | options)


def babbler(path: Path, **options: object) -> Subject:
    return Subject(Runtimes().load("llama_server"), bundle(path.parent, path.name), ONE_THREAD | options)


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


class TestLlamaServer(ChatContract):
    @pytest.fixture(scope="class")
    @classmethod
    def unreadable(cls, tmp_path_factory: pytest.TempPathFactory) -> Subject:
        path = write_random_gguf(tmp_path_factory.mktemp("short") / "short.gguf", context=512)
        path.write_bytes(path.read_bytes()[:-1000])
        return babbler(path)

    def make_failing(self) -> tuple[Subject, Request, str]:
        subject = Subject(FailingLlamaServer(), chat_bundle("q8_0"), ONE_THREAD)
        return subject, chat_request("Hi"), "a teapot"

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Subject:
        return zoo()

    @pytest.fixture(scope="class")
    @classmethod
    def cases(cls) -> list[Case]:
        return [Case(chat_request(case.messages, temperature=0), case.answer) for case in chat_answers()]

    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls, slow_gguf: Path) -> Subject:
        return babbler(slow_gguf)

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> ChatRequest:
        return chat_request("Go on.", temperature=0)

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

    # What it knows

    @pytest.mark.parametrize("precision", ["f16", "q4_k_m"])
    def test_other_precisions_and_shards(self, precision: str, cases: list[Case]) -> None:
        instance = zoo(precision).load()
        right = [instance.infer(case.request, Call()).text == case.answer for case in cases]
        instance.close()
        assert sum(right) / len(right) >= (1 if precision == "f16" else 0.9)

    def test_a_seed_gives_the_same_draw_again(self, slow: Instance) -> None:
        def draw(seed: int) -> str:
            request = chat_request("Hi", temperature=1.5, top_p=0.99, top_k=0, seed=seed, max_tokens=30)
            return str(slow.infer(request, Call()))

        assert draw(7) == draw(7)
        assert draw(7) != draw(8)

    def test_the_largest_of_every_parameter(self, slow: Instance) -> None:
        request = chat_request(
            "Hi",
            temperature=100,
            top_p=1,
            top_k=1 << 31,
            seed=(1 << 32) - 1,
            max_tokens=1 << 31,
            stop="e",
        )
        assert "e" not in slow.infer(request, Call(timeout=LIVENESS)).text

    # The context

    def test_the_context_is_the_models_up_to_a_default(self, instance: Instance, slow: Instance) -> None:
        assert instance.capabilities.context_length == CONTEXT
        assert slow.capabilities.context_length == 8192

    def test_a_prompt_longer_than_the_context(self) -> None:
        instance = zoo(n_ctx=300).load()
        assert instance.capabilities.context_length == 512
        with pytest.raises(ContextTooLong, match="512") as caught:
            instance.infer(chat_request("river " * 600), Call())
        assert caught.value.details["context_length"] == 512
        assert caught.value.details["prompt_tokens"] > 512
        instance.close()

    def test_an_answer_that_fills_the_context_ends_there(self, slow_gguf: Path) -> None:
        instance = babbler(slow_gguf, n_ctx=256).load()
        reply = instance.infer(chat_request("Hi", temperature=0), Call())
        instance.close()
        assert reply.finish_reason is FinishReason.LENGTH
        assert reply.usage.total_tokens == 256

    @pytest.mark.parametrize(
        "options",
        [{"n_ctx": CONTEXT + 1}, {"n_ctx": 8}, {"n_threads": 0}, {"n_batch": 1}, {"n_ctx": "x"}],
    )
    def test_options_out_of_range(self, options: dict[str, object]) -> None:
        with pytest.raises(InvalidInput, match=next(iter(options))):
            zoo(**options).load()

    def test_the_smallest_batch(self, cases: list[Case]) -> None:
        instance = zoo(n_batch=2).load()
        assert str(instance.infer(cases[0].request, Call())) == cases[0].answer
        instance.close()

    # Loads that fail

    def test_only_the_cpu(self, subject: Subject) -> None:
        cuda = on_another_device("cuda")
        assert (
            "cuda:0"
            in subject.runtime.supports(subject.bundle.model, subject.bundle.variant, cuda).reason
        )
        with pytest.raises(InvalidInput, match="cuda:0"):
            subject.runtime.load(subject.bundle, cuda, {}, SharedParts())

    def test_another_format_is_not_supported(self, subject: Subject) -> None:
        other = subject.bundle.variant.model_copy(update={"format": "onnx"})
        assert not subject.runtime.supports(subject.bundle.model, other, find_device("cpu")).ok

    def test_without_its_library(self, subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(LlamaServerRuntime, "requires", ("no_such_engine",))
        with pytest.raises(RuntimeNotInstalled) as caught:
            subject.load()
        assert 'pip install "modelhub[llama-server]"' in caught.value.hint

    def test_a_damaged_header_never_reaches_the_engine(self, tmp_path: Path) -> None:
        whole = (chat_folder() / "zoo-chat-q8_0.gguf").read_bytes()
        (tmp_path / "cut.gguf").write_bytes(whole[:5000])
        with pytest.raises(FormatError):
            babbler(tmp_path / "cut.gguf").load()

    def test_weights_that_are_cut_off(self, tmp_path: Path) -> None:
        whole = (chat_folder() / "zoo-chat-q8_0.gguf").read_bytes()
        (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
        with pytest.raises((FormatError, LoadFailed), match="cut"):
            babbler(tmp_path / "cut.gguf").load()

    def test_the_engines_own_reason_is_told(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = write_random_gguf(tmp_path / "new.gguf", context=512, architecture="llama")
        path.write_bytes(path.read_bytes().replace(b"llama", b"lxama"))
        with pytest.raises(LoadFailed, match="unknown model architecture: 'lxama'") as caught:
            babbler(path).load()
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert capfd.readouterr() == ("", "")

    def test_a_variant_without_weights(self, tmp_path: Path) -> None:
        (tmp_path / "README.md").write_text("nothing here")
        with pytest.raises(LoadFailed, match=r"no \.gguf file"):
            Subject(LlamaServerRuntime(), bundle(tmp_path, "README.md")).load()

    # Quiet and gone

    def test_it_prints_nothing(self, cases: list[Case], capfd: pytest.CaptureFixture[str]) -> None:
        instance = zoo().load()
        instance.infer(cases[0].request, Call())
        with pytest.raises(ContextTooLong):
            instance.infer(chat_request("river " * 2000), Call())
        next(instance.stream(cases[0].request, Call()))
        instance.close()
        assert capfd.readouterr() == ("", "")

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
