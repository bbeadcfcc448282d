"""What every chat runtime must do, whatever its engine. Subclass it, and give the fixtures."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from time import monotonic, sleep
from typing import Any

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded, EngineError, InvalidInput, TaskNotSupported
from modelhub.facts import Call, Device, Token
from modelhub.runtimes import (
    API_VERSION,
    Bundle,
    Footprint,
    Instance,
    Instances,
    Runtime,
    SharedParts,
    find_device,
)
from modelhub.tasks import ChatChunk, ChatReply, ChatRequest, FinishReason, Request

LIVENESS = 20.0
"""Seconds in which something must happen at all, on a machine that is busy with other things."""


@dataclass(frozen=True)
class Subject:
    """A runtime with a model for it. `options` are how tests load it."""

    runtime: Runtime
    bundle: Bundle
    options: Mapping[str, Any] = field(default_factory=dict)

    def load(self) -> Instance:
        return self.runtime.load(self.bundle, find_device("cpu"), self.options, SharedParts())


@dataclass(frozen=True)
class Case:
    """A request and the whole answer to it."""

    request: ChatRequest
    answer: str


def text_of(chunks: Iterator[ChatChunk]) -> str:
    return "".join(chunk.text for chunk in chunks)


def in_thread(work: Callable[[], Any]) -> Any:
    """The outcome of `work` in another thread: its value, or the error it raised."""
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work)
        error = future.exception(timeout=LIVENESS)
        return error or future.result()


class RuntimeContract:
    """Inherit it and give three fixtures: `subject` knows `cases`; `endless` takes at least a
    minute for `endless_request`, so that a test which waits for its end is seen.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def subject(cls) -> Subject:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def cases(cls) -> list[Case]:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def endless(cls) -> Subject:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def endless_request(cls) -> ChatRequest:
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def instance(cls, subject: Subject) -> Iterator[Instance]:
        instance = subject.load()
        yield instance
        instance.close()

    @pytest.fixture(scope="class")
    @classmethod
    def slow(cls, endless: Subject) -> Iterator[Instance]:
        instance = endless.load()
        yield instance
        instance.close()

    @pytest.fixture(autouse=True)
    def _nothing_stays_behind(self) -> Iterator[None]:
        before = set(threading.enumerate())
        yield
        until = monotonic() + LIVENESS
        left = [thread for thread in threading.enumerate() if thread not in before]
        for thread in left:
            thread.join(until - monotonic())
        assert not [thread for thread in left if thread.is_alive()]

    # What it says of itself

    def test_describes_itself(self, subject: Subject) -> None:
        runtime = subject.runtime
        assert runtime.api_version == API_VERSION
        assert runtime.name
        assert runtime.tasks
        assert runtime.formats
        assert runtime.version()

    def test_its_module_imports_no_engine(self, subject: Subject) -> None:
        module, engines = type(subject.runtime).__module__, subject.runtime.requires
        code = f"import sys, {module}; print([name for name in {engines!r} if name in sys.modules])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_supports_what_it_loads(self, subject: Subject) -> None:
        assert subject.runtime.supports(
            subject.bundle.model, subject.bundle.variant, find_device("cpu")
        ).ok

    def test_predicts_its_memory(self, subject: Subject) -> None:
        bundle, device = subject.bundle, find_device("cpu")
        predicted = subject.runtime.footprint(bundle.model, bundle.variant, device, subject.options)
        assert isinstance(predicted, Footprint)
        assert sum(predicted.per_device.values()) <= predicted.total

    def test_a_runtime_without_its_libraries_lists_what_is_missing(
        self, subject: Subject, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(type(subject.runtime), "requires", ("no_such_engine",))
        assert subject.runtime.missing() == ("no_such_engine",)

    def test_an_unknown_option_is_refused_by_name(self, subject: Subject) -> None:
        with pytest.raises(InvalidInput, match="no_such_option"):
            subject.runtime.load(
                subject.bundle, find_device("cpu"), {"no_such_option": 1}, SharedParts()
            )

    # Answers

    def test_infer_gives_the_answer(self, instance: Instance, cases: list[Case]) -> None:
        for case in cases:
            reply = instance.infer(case.request, Call())
            assert isinstance(reply, ChatReply)
            assert reply.text == case.answer
            assert reply.finish_reason is FinishReason.STOP
            assert reply.usage.prompt_tokens > 0
            assert reply.usage.completion_tokens > 0

    def test_stream_gives_the_same_in_pieces(self, instance: Instance, cases: list[Case]) -> None:
        for case in cases:
            *pieces, last = instance.stream(case.request, Call())
            assert text_of(iter(pieces)) == case.answer
            assert all(piece.finish_reason is None and piece.usage is None for piece in pieces)
            assert all(piece.text or piece.reasoning for piece in pieces)
            assert (last.text, last.finish_reason) == ("", FinishReason.STOP)
            assert last.usage == instance.infer(case.request, Call()).usage

    def test_some_answer_comes_in_several_pieces(self, instance: Instance, cases: list[Case]) -> None:
        assert max(len(list(instance.stream(case.request, Call()))) for case in cases) > 3

    def test_max_tokens_cuts(self, instance: Instance, cases: list[Case]) -> None:
        case = max(cases, key=lambda case: len(case.answer))
        reply = instance.infer(case.request.model_copy(update={"max_tokens": 2}), Call())
        assert reply.finish_reason is FinishReason.LENGTH
        assert reply.usage.completion_tokens == 2
        assert case.answer.startswith(reply.text)
        assert len(reply.text) < len(case.answer)

    def test_stop_cuts_before_the_first_that_appears(
        self, instance: Instance, cases: list[Case]
    ) -> None:
        case = max(cases, key=lambda case: len(case.answer))
        end = case.answer[len(case.answer) // 2 :][:4]
        request = case.request.model_copy(update={"stop": ("\u2603 never said", end)})
        expected = case.answer[: case.answer.index(end)]
        reply = instance.infer(request, Call())
        assert (reply.text, reply.finish_reason) == (expected, FinishReason.STOP)
        assert text_of(instance.stream(request, Call())) == expected

    def test_another_kind_of_request_is_refused(self, instance: Instance) -> None:
        class OtherRequest(Request):
            pass

        with pytest.raises(TaskNotSupported):
            instance.infer(OtherRequest(), Call())
        with pytest.raises(TaskNotSupported):
            instance.stream(OtherRequest(), Call())

    # Calls that end early

    def test_a_cancelled_call_does_not_begin(self, instance: Instance, cases: list[Case]) -> None:
        call = Call()
        call.cancel()
        with pytest.raises(Cancelled):
            instance.infer(cases[0].request, call)
        with pytest.raises(Cancelled):
            list(instance.stream(cases[0].request, call))

    def test_cancel_ends_a_stream(self, slow: Instance, endless_request: ChatRequest) -> None:
        call = Call()
        stream = slow.stream(endless_request, call)
        next(stream)
        call.cancel()
        with pytest.raises(Cancelled):
            list(stream)

    def test_cancel_from_another_thread_ends_infer(
        self, slow: Instance, endless_request: ChatRequest
    ) -> None:
        token = Token()
        timer = threading.Timer(0.3, token.cancel)
        timer.start()
        with pytest.raises(Cancelled):
            slow.infer(endless_request, Call(token=token))
        timer.join()

    def test_the_deadline_ends_a_stream(self, slow: Instance, endless_request: ChatRequest) -> None:
        with pytest.raises(DeadlineExceeded):
            list(slow.stream(endless_request, Call(timeout=0.3)))

    def test_the_deadline_ends_infer(self, slow: Instance, endless_request: ChatRequest) -> None:
        with pytest.raises(DeadlineExceeded):
            slow.infer(endless_request, Call(timeout=0.3))

    def test_the_next_request_after_each_early_end_is_served_at_once(
        self, slow: Instance, endless_request: ChatRequest
    ) -> None:
        short = endless_request.model_copy(update={"max_tokens": 2})
        for leave in (_close_it, _drop_it, _break_out, _let_its_time_pass):
            leave(slow, endless_request)
            slow.infer(short, Call(timeout=LIVENESS))

    def test_a_stream_that_nobody_reads_ends_with_its_call(
        self, slow: Instance, endless_request: ChatRequest
    ) -> None:
        cancelled, late = Call(), Call(timeout=0.3)
        for call, error in ((cancelled, Cancelled), (late, DeadlineExceeded)):
            stream = slow.stream(endless_request, call)
            next(stream)
            if call is cancelled:
                call.cancel()
            slow.infer(endless_request.model_copy(update={"max_tokens": 2}), Call(timeout=LIVENESS))
            sleep(call.remaining or 0)
            with pytest.raises(error):
                next(stream)

    def test_a_closed_stream_stays_closed(self, slow: Instance, endless_request: ChatRequest) -> None:
        stream = slow.stream(endless_request, Call())
        next(stream)
        stream.close()
        stream.close()
        assert list(stream) == []

    def test_a_stream_that_nobody_began_costs_nothing(
        self, slow: Instance, endless_request: ChatRequest
    ) -> None:
        streams = [slow.stream(endless_request, Call()) for _ in range(3)]
        slow.infer(endless_request.model_copy(update={"max_tokens": 2}), Call(timeout=LIVENESS))
        del streams

    # Several at once

    def test_callers_at_the_same_time_all_get_their_own_answer(
        self, subject: Subject, cases: list[Case]
    ) -> None:
        instances = Instances()

        def ask(case: Case) -> str:
            with instances.acquire("key", subject.load, Call()) as instance:
                return str(instance.infer(case.request, Call()))

        with ThreadPoolExecutor(4) as pool:
            wanted = [cases[index % len(cases)] for index in range(12)]
            assert list(pool.map(ask, wanted)) == [case.answer for case in wanted]
        instances.close()

    def test_callers_of_one_instance_all_get_their_own_answer(
        self, instance: Instance, cases: list[Case]
    ) -> None:
        with ThreadPoolExecutor(4) as pool:
            wanted = [cases[index % len(cases)] for index in range(12)]
            asked = pool.map(lambda case: text_of(instance.stream(case.request, Call())), wanted)
            assert list(asked) == [case.answer for case in wanted]

    # The end

    def test_close_twice_and_no_use_after(self, subject: Subject, cases: list[Case]) -> None:
        instance = subject.load()
        early = instance.stream(cases[0].request, Call())
        instance.close()
        instance.close()
        with pytest.raises(EngineError, match="unloaded"):
            instance.infer(cases[0].request, Call())
        with pytest.raises(EngineError, match="unloaded"):
            list(early)

    def test_close_ends_streams_and_infers(self, endless: Subject, endless_request: ChatRequest) -> None:
        instance = endless.load()
        begun = threading.Event()

        def read() -> None:
            for _ in instance.stream(endless_request, Call()):
                begun.set()

        with ThreadPoolExecutor(2) as pool:
            reader = pool.submit(read)
            assert begun.wait(LIVENESS)
            asker = pool.submit(instance.infer, endless_request, Call())
            instance.close()
            for future in (reader, asker):
                assert isinstance(future.exception(timeout=LIVENESS), Cancelled | EngineError)

    def test_close_with_a_stream_half_read_in_the_same_thread(
        self, endless: Subject, endless_request: ChatRequest
    ) -> None:
        instance = endless.load()
        stream = instance.stream(endless_request, Call())
        next(stream)
        instance.close()
        with pytest.raises((Cancelled, EngineError)):
            list(stream)

    def test_two_instances_at_the_same_time(self, subject: Subject, cases: list[Case]) -> None:
        first, second = subject.load(), subject.load()
        first.close()
        assert second.infer(cases[0].request, Call()).text == cases[0].answer
        second.close()


def _close_it(instance: Instance, request: ChatRequest) -> None:
    stream = instance.stream(request, Call())
    next(stream)
    stream.close()


def _drop_it(instance: Instance, request: ChatRequest) -> None:
    stream = instance.stream(request, Call())
    next(stream)
    del stream


def _break_out(instance: Instance, request: ChatRequest) -> None:
    for count, _ in enumerate(instance.stream(request, Call())):
        if count == 2:
            break


def _let_its_time_pass(instance: Instance, request: ChatRequest) -> None:
    with pytest.raises(DeadlineExceeded):
        instance.infer(request, Call(timeout=0.1))


def on_another_device(kind: str) -> Device:
    """A device that this machine need not have."""
    return Device(name=f"{kind}:0", kind=kind, memory_total=1 << 34, memory_free=1 << 34)
