"""What instances have in common whose engine does one request at a time."""

import logging
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from modelhub.errors import Cancelled, EngineError, TaskNotSupported
from modelhub.facts import Call
from modelhub.runtimes.base import Capabilities, Instance
from modelhub.runtimes.bound import check_format
from modelhub.runtimes.gate import Gate
from modelhub.runtimes.turn import PATIENCE, Say, Turn
from modelhub.tasks import ChatRequest, Request, Result, join_chunks

log = logging.getLogger(__name__)

QUEUE = 64
"""Calls that are taken at the same time. The engine answers one; the others wait in order here,
where a stream that was written to its end but not read to its end is in nobody's way.
"""


class SerialInstance(Instance):
    """A loaded model whose engine blocks a thread while it answers, one request at a time.

    Subclasses say what `kinds` of request they serve, and to which `formats` they can bind an answer
    (`Runtime.response_formats`); they do the `work` of one, and `release` the model.
    `engine` is its name in errors.
    """

    engine: ClassVar[str]

    def __init__(
        self,
        capabilities: Capabilities,
        kinds: tuple[type[Request], ...],
        formats: tuple[str, ...] = (),
    ) -> None:
        self.capabilities = capabilities.model_copy(update={"max_concurrency": QUEUE})
        self._kinds = kinds
        self._formats = formats
        self._gate = Gate(1)
        self._lock = threading.RLock()
        self._turns: weakref.WeakSet[Turn] = weakref.WeakSet()
        self._closed = False

    @abstractmethod
    def work(self, request: Request, call: Call, say: Say) -> None:
        """Answer `request`: `say` each chunk of a chat, the last one with why it ended and what it
        took; or the one result. Where there is nothing to say for long, `say(None)`. Returns as soon as
        `say` is true. Only one thread at a time is in here.
        """

    @abstractmethod
    def release(self) -> None:
        """Give the model's memory back. Called once, when no work is under way."""

    def abandon(self) -> None:
        """Leave the memory as it is until the program is gone: a thread does not come out of the engine.
        For engines that give it back by themselves when the program ends.
        """

    def infer(self, request: Request, call: Call) -> Result:
        said = list(self._open(request, call, whole=True))
        if not said:
            raise self._cut_short()
        result: Result = said[0] if isinstance(said[0], Result) else join_chunks(said)
        return result

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        if not isinstance(request, ChatRequest):
            return super().stream(request, call)
        return self._open(request, call, whole=False)

    def _open(self, request: Request, call: Call, *, whole: bool) -> Iterator[Any]:
        if not isinstance(request, self._kinds):
            served = ", ".join(kind.__name__ for kind in self._kinds)
            raise TaskNotSupported(
                f"this model on {self.engine} cannot serve a {type(request).__name__}",
                hint=f"It serves a {served}.",
            )
        check_format(request, self.engine, self._formats)
        if self._closed:
            raise _unloaded()
        return self._answer_in_turn(request, call, whole=whole)

    def _answer_in_turn(self, request: Request, call: Call, *, whole: bool) -> Iterator[Any]:
        self._gate.enter(call)
        work = partial(self.work, request, call)
        turn = Turn(self.engine, work, call, self._gate.leave, self.abandon)
        piece = None
        try:
            self._start(turn)
            if whole:
                turn.wait()
            for piece in turn.pieces():
                yield piece
            if isinstance(request, ChatRequest) and (piece is None or piece.finish_reason is None):
                raise self._cut_short()
        finally:
            turn.stop()

    def _start(self, turn: Turn) -> None:
        with self._lock:
            if self._closed:
                raise _unloaded()
            self._turns.add(turn)
            turn.start()

    def _cut_short(self) -> EngineError:
        return EngineError(f"{self.engine} ended its answer before it was whole")

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            turns = tuple(self._turns)
        self._gate.close(_unloaded)
        for turn in turns:
            turn.end(Cancelled("the model was unloaded while it answered"))
        until = time.monotonic() + PATIENCE
        stuck = [turn for turn in turns if not turn.join(max(0.0, until - time.monotonic()))]
        for turn in stuck:
            turn.give_up()
        if stuck:
            # The thread holds this instance; should it come out after all, the engine goes with both.
            log.error("instance_stuck", extra={"runtime_type": self.engine})
        else:
            self.release()


def _unloaded() -> EngineError:
    return EngineError("this model was unloaded", hint="Load it again.")
