"""A model that llama.cpp has loaded, answering."""

import threading
import weakref
from collections.abc import Iterator

from modelhub.errors import Cancelled, EngineError, TaskNotSupported
from modelhub.facts import Call
from modelhub.runtimes.base import Capabilities, Instance
from modelhub.runtimes.gate import Gate
from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.turn import Turn
from modelhub.runtimes.llama_server.wire import payload, read_piece
from modelhub.tasks import ChatChunk, ChatReply, ChatRequest, FinishReason, Request, Usage

_QUEUE = 64
"""Calls that are taken at the same time. The engine answers one; the others wait in order here,
where a stream that was written to its end but not read to its end is in nobody's way.
"""


class LlamaServerInstance(Instance):
    """Chat. Every request is streamed from the engine, because only a stream can be stopped."""

    def __init__(self, engine: Engine, context_length: int) -> None:
        self.capabilities = Capabilities(
            max_concurrency=_QUEUE, streaming=True, context_length=context_length
        )
        self._engine = engine
        self._gate = Gate(1)
        self._lock = threading.RLock()
        self._turns: weakref.WeakSet[Turn] = weakref.WeakSet()
        self._closed = False

    def infer(self, request: Request, call: Call) -> ChatReply:
        chunks = list(self._open(request, call, whole=True))
        last = chunks[-1]
        assert last.finish_reason is not None
        assert last.usage is not None
        return ChatReply(
            text="".join(chunk.text for chunk in chunks),
            reasoning="".join(chunk.reasoning for chunk in chunks),
            finish_reason=last.finish_reason,
            usage=last.usage,
        )

    def stream(self, request: Request, call: Call) -> Iterator[ChatChunk]:
        return self._open(request, call, whole=False)

    def _open(self, request: Request, call: Call, *, whole: bool) -> Iterator[ChatChunk]:
        if not isinstance(request, ChatRequest):
            raise TaskNotSupported(
                f"llama_server cannot serve a {type(request).__name__}",
                hint="It serves text-generation.",
            )
        if self._closed:
            raise _unloaded()
        return self._chunks(request, call, whole=whole)

    def _chunks(self, request: ChatRequest, call: Call, *, whole: bool) -> Iterator[ChatChunk]:
        self._gate.enter(call)
        turn = Turn(self._engine.ask, payload(request), call, self._gate.leave)
        finish, usage = FinishReason.STOP, None
        try:
            self._start(turn)
            if whole:
                turn.wait()
            for piece in map(read_piece, turn.messages()):
                if piece.text or piece.reasoning:
                    yield ChatChunk(text=piece.text, reasoning=piece.reasoning)
                finish, usage = piece.finish or finish, piece.usage or usage
            yield _last(finish, usage)
        finally:
            turn.stop()

    def _start(self, turn: Turn) -> None:
        with self._lock:
            if self._closed:
                raise _unloaded()
            self._turns.add(turn)
            turn.start()

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            turns = tuple(self._turns)
        self._gate.close(_unloaded)
        for turn in turns:
            turn.end(Cancelled("the model was unloaded while it answered"))
        for turn in turns:
            turn.join()
        self._engine.close()


def _last(finish: FinishReason, usage: Usage | None) -> ChatChunk:
    if usage is None:
        raise EngineError("llama.cpp ended its answer before it was whole")
    return ChatChunk(finish_reason=finish, usage=usage)


def _unloaded() -> EngineError:
    return EngineError("this model was unloaded", hint="Load it again.")
