"""One request in a child, from its message to its answer."""

import threading
from collections.abc import Callable

from modelhub.errors import Cancelled, EngineError, ModelHubError
from modelhub.facts import Call, Progress, Token
from modelhub.runtimes.base import Instance
from modelhub.runtimes.guard import check_result, checked_pieces, typed_errors
from modelhub.runtimes.hosts.wire import Message, error_message

Say = Callable[..., None]

_TICK = 0.1


class Work:
    """Does what a `call` message asks, and says how it goes."""

    def __init__(self, name: str, instance: Instance, message: Message, say: Say) -> None:
        self._name = name
        self._instance = instance
        self._message = message
        self._say = say
        self._token = Token()
        self._room = threading.Semaphore(message.get("window", 0))
        self._call = self._make_call(message["remaining"])

    def _make_call(self, remaining: float | None) -> Call:
        return Call(timeout=remaining, token=self._token, on_progress=self._progress)

    def cancel(self) -> None:
        """The parent wants no answer any more."""
        self._token.cancel()

    def more(self, count: int) -> None:
        """The reader of a stream has room for so many more chunks."""
        self._room.release(count)

    def run(self) -> None:
        """Answer. What goes wrong is said, not raised, unless the parent cannot be told."""
        try:
            self._answer()
        except ModelHubError as error:
            self._say("error", **error_message(error), last=True)

    def _answer(self) -> None:
        match self._message["verb"]:
            case "infer":
                self._call.check()
                with typed_errors(self._name):
                    answer = self._instance.infer(self._message["request"], self._call)
                self._say("result", result=check_result(self._name, answer), last=True)
            case "infer_many":
                self._infer_many()
            case "stream":
                self._stream()

    def _infer_many(self) -> None:
        calls = [self._make_call(left and max(left, 0.001)) for left in self._message["each"]]
        with typed_errors(self._name):
            answers = self._instance.infer_many(self._message["requests"], calls)
        if len(answers) != len(calls):
            raise EngineError(f"{self._name} gave {len(answers)} answers to {len(calls)} requests")
        entries = [
            error_message(answer)
            if isinstance(answer, ModelHubError)
            else check_result(self._name, answer)
            for answer in answers
        ]
        self._say("results", results=entries, last=True)

    def _stream(self) -> None:
        self._call.check()
        with typed_errors(self._name):
            pieces = self._instance.stream(self._message["request"], self._call)
        chunks = checked_pieces(self._name, pieces)
        try:
            for chunk in chunks:
                self._await_room()
                self._say("chunk", chunk=chunk)
        finally:
            close: Callable[[], None] | None = getattr(chunks, "close", None)
            if close is not None:
                close()
        self._say("end", last=True)

    def _await_room(self) -> None:
        while not self._room.acquire(timeout=_TICK):
            self._call.check()

    def _progress(self, progress: Progress) -> None:
        if self._token.cancelled:
            raise Cancelled("the call was cancelled")
        self._say("progress", done=progress.done, total=progress.total, preview=progress.preview)
