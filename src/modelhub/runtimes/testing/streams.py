"""The rules for runtimes that answer piece by piece, and those for chat."""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded, EngineError, TaskNotSupported
from modelhub.facts import Call
from modelhub.runtimes.base import Instance
from modelhub.runtimes.testing.contract import RuntimeContract, rule
from modelhub.runtimes.testing.subject import Case, Subject, UnknownRequest
from modelhub.runtimes.testing.watch import Leftovers, left_behind
from modelhub.tasks import ChatChunk, ChatReply, ChatRequest, FinishReason, Request, read_format


class StreamContract(RuntimeContract):
    """For an instance with `capabilities.streaming`. `join` makes an answer of pieces."""

    def join(self, pieces: Sequence[Any]) -> Any:
        """What of a whole stream is compared with a case's answer."""
        raise NotImplementedError

    def pieces(self, instance: Instance, request: Request, call: Call | None = None) -> list[Any]:
        """Every piece of a stream, which must end soon."""
        found: list[Any] = self.gives(lambda: list(instance.stream(request, call or Call())))
        return found

    @rule
    def test_it_says_that_it_streams(self, instance: Instance) -> None:
        assert instance.capabilities.streaming

    @rule
    def test_stream_gives_the_same_in_pieces(self, instance: Instance, cases: Sequence[Case]) -> None:
        answers = [self.pieces(instance, case.request) for case in cases]
        assert [self.join(pieces) for pieces in answers] == [case.answer for case in cases]
        assert max(map(len, answers)) > 3

    @rule
    def test_a_stream_of_another_kind_of_request_is_refused(self, instance: Instance) -> None:
        with pytest.raises(TaskNotSupported):
            list(instance.stream(UnknownRequest(), Call()))

    # Streams that end early

    @rule
    def test_a_cancelled_stream_does_not_begin(self, slow: Instance, endless_request: Request) -> None:
        call = Call()
        call.cancel()
        assert isinstance(self.ends(lambda: list(slow.stream(endless_request, call))), Cancelled)

    @rule
    def test_cancel_ends_a_stream(self, slow: Instance, endless_request: Request) -> None:
        call = Call()
        stream = slow.stream(endless_request, call)
        next(stream)
        call.cancel()
        assert isinstance(self.ends(list, stream), Cancelled)

    @rule
    def test_the_deadline_ends_a_stream(self, slow: Instance, endless_request: Request) -> None:
        stream = slow.stream(endless_request, Call(timeout=0.3))
        assert isinstance(self.ends(list, stream), DeadlineExceeded)

    @rule
    def test_who_leaves_a_stream_stops_the_engine(
        self, slow: Instance, endless_request: Request
    ) -> None:
        for leave in (_close_it, _drop_it, _break_out):
            stopped = self.gives(leave, slow, endless_request)
            assert stopped is None
            self._serves(slow, endless_request)

    @rule
    def test_a_stream_that_nobody_reads_is_in_nobodys_way(
        self, slow: Instance, endless_request: Request
    ) -> None:
        call = Call(timeout=0.5)
        stream = slow.stream(endless_request, call)
        next(stream)
        self._serves(slow, endless_request)
        Event().wait(call.remaining)
        assert isinstance(self.ends(list, stream), DeadlineExceeded)

    @rule
    def test_a_closed_stream_stays_closed(self, slow: Instance, endless_request: Request) -> None:
        stream: Any = slow.stream(endless_request, Call())
        next(stream)
        stream.close()
        stream.close()
        assert self.ends(list, stream) == []

    @rule
    def test_a_stream_that_nobody_began_costs_nothing(
        self, slow: Instance, endless_request: Request
    ) -> None:
        streams = [slow.stream(endless_request, Call()) for _ in range(3)]
        self._serves(slow, endless_request)
        del streams

    def _serves(self, slow: Instance, request: Request) -> None:
        """It still has a first piece for somebody."""
        stream: Any = slow.stream(request, Call(timeout=self.liveness))
        assert self.gives(next, stream) is not None
        stream.close()

    # The end

    @rule
    def test_no_stream_after_close(self, subject: Subject, cases: Sequence[Case], host: str) -> None:
        instance = subject.load(host)
        early = instance.stream(cases[0].request, Call())
        instance.close()
        with pytest.raises(EngineError, match="unloaded"):
            list(early)
        with pytest.raises(EngineError, match="unloaded"):
            list(instance.stream(cases[0].request, Call()))

    @rule
    def test_close_ends_streams(self, endless: Subject, endless_request: Request, host: str) -> None:
        instance = endless.load(host)
        begun = Event()

        def read() -> None:
            for _ in instance.stream(endless_request, Call(timeout=2 * self.liveness)):
                begun.set()

        with ThreadPoolExecutor(1) as pool:
            reader = pool.submit(read)
            assert begun.wait(self.liveness)
            self.gives(instance.close)
            assert isinstance(reader.exception(timeout=self.liveness), Cancelled | EngineError)

    @rule
    def test_close_with_a_stream_half_read_in_the_same_thread(
        self, endless: Subject, endless_request: Request, host: str
    ) -> None:
        instance = endless.load(host)
        stream = instance.stream(endless_request, Call())
        next(stream)
        self.gives(instance.close)
        assert isinstance(self.ends(list, stream), Cancelled | EngineError)

    @rule
    def test_left_streams_leave_nothing_behind(self, slow: Instance, endless_request: Request) -> None:
        _close_it(slow, endless_request)
        before = Leftovers.now()
        for leave in (_close_it, _drop_it, _break_out):
            leave(slow, endless_request)
        left = left_behind(before, min(self.liveness, 5.0))
        assert not left, f"streams that were left have left {left}"


class ChatContract(StreamContract):
    """For `text-generation`. The cases' requests are chats, their answers texts that end by themselves."""

    def join(self, pieces: Sequence[ChatChunk]) -> str:
        """The text."""
        return "".join(piece.text for piece in pieces)

    @rule
    def test_a_reply_says_why_it_ended_and_what_it_took(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        for case in cases:
            reply = self._reply(instance, case.request)
            assert reply.finish_reason is FinishReason.STOP
            assert reply.usage.prompt_tokens > 0
            assert reply.usage.completion_tokens > 0

    @rule
    def test_the_last_piece_says_why_it_ended_and_what_it_took(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        for case in cases:
            *pieces, last = self.pieces(instance, case.request)
            assert all(piece.finish_reason is None and piece.usage is None for piece in pieces)
            assert all(piece.text or piece.reasoning for piece in pieces)
            assert (last.text, last.finish_reason) == ("", FinishReason.STOP)
            assert last.usage == self._reply(instance, case.request).usage

    @rule
    def test_max_tokens_cuts(self, instance: Instance, cases: Sequence[Case]) -> None:
        case = _longest(cases)
        reply = self._reply(instance, _with(case.request, max_tokens=2))
        assert reply.finish_reason is FinishReason.LENGTH
        assert reply.usage.completion_tokens == 2
        assert case.answer.startswith(reply.text)
        assert len(reply.text) < len(case.answer)

    @rule
    def test_stop_cuts_before_the_first_that_appears(
        self, instance: Instance, cases: Sequence[Case]
    ) -> None:
        case = _longest(cases)
        end = case.answer[len(case.answer) // 2 :][:4]
        request = _with(case.request, stop=("\u2603 never said", end))
        expected = case.answer[: case.answer.index(end)]
        reply = self._reply(instance, request)
        assert (reply.text, reply.finish_reason) == (expected, FinishReason.STOP)
        assert self.join(self.pieces(instance, request)) == expected

    @rule
    def test_a_response_format_binds_or_is_refused(
        self, subject: Subject, instance: Instance, cases: Sequence[Case]
    ) -> None:
        wanted = read_format({"enum": ["snow", "rain"]})
        request = _with(cases[0].request, response_format=wanted)
        if "json_schema" in subject.runtime.response_formats:
            assert json.loads(self._reply(instance, request).text) in {"snow", "rain"}
            assert json.loads(self.join(self.pieces(instance, request))) in {"snow", "rain"}
        else:
            with pytest.raises(TaskNotSupported):
                instance.infer(request, Call())
            with pytest.raises(TaskNotSupported):
                list(instance.stream(request, Call()))

    def _reply(self, instance: Instance, request: Request) -> ChatReply:
        reply = self.gives(instance.infer, request, Call())
        assert isinstance(reply, ChatReply)
        return reply


def _longest(cases: Sequence[Case]) -> Case:
    return max(cases, key=lambda case: len(case.answer))


def _with(request: Request, **changes: Any) -> ChatRequest:
    assert isinstance(request, ChatRequest)
    return request.model_copy(update=changes)


Leave = Callable[[Instance, Request], None]


def _close_it(instance: Instance, request: Request) -> None:
    stream: Any = instance.stream(request, Call())
    next(stream)
    stream.close()


def _drop_it(instance: Instance, request: Request) -> None:
    stream: Iterator[Any] = instance.stream(request, Call())
    next(stream)
    del stream


def _break_out(instance: Instance, request: Request) -> None:
    for count, _ in enumerate(instance.stream(request, Call())):
        if count == 2:
            break
