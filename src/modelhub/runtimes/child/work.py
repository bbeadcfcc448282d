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
        self._room = threading.Semaphore(message["window"]) if "window" in message else None
        self._call = self._make_call(message["remaining"])

    def _make_call(self, remaining: float | None) -> Call:
        # What has no time left is over at once, and not refused.
        left = None if remaining is None else max(remaining, 0.001)
        call_id = self._message["call"]
        return Call(timeout=left, token=self._token, on_progress=self._progress, id=call_id)

    def cancel(self) -> None:
        """The parent wants no answer any more."""
        self._token.cancel()

    @property
    def over(self) -> bool:
        """Whether it was cancelled, or is late."""
        return self._token.cancelled or self._call.remaining == 0

    def more(self, count: int) -> None:
        """The reader of a stream has room for so many more chunks."""
        if self._room is not None:
            self._room.release(count)

    def run(self) -> None:
        """Answer. What goes wrong is said, not raised.

        Raises:
            OSError: when the parent cannot be told.
        """
        try:
            self._answer()
        except ModelHubError as error:
            self._fail(error)
        except OSError:
            raise  # an engine's own is typed by now
        except BaseException as error:  # noqa: BLE001 - whoever asked must hear of it, KeyboardInterrupt too
            failed = EngineError(f"{self._name} failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self._fail(failed)

    def _fail(self, error: ModelHubError) -> None:
        self._say("error", **error_message(error), last=True)

    def _answer(self) -> None:
        self._call.check()
        match self._message["verb"]:
            case "infer":
                with typed_errors(self._name):
                    answer = self._instance.infer(self._message["request"], self._call)
                self._say("result", result=check_result(self._name, answer), last=True)
            case "infer_many":
                self._infer_many()
            case "stream":
                self._stream()

    def _infer_many(self) -> None:
        calls = [self._make_call(left) for left in self._message["each"]]
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
        with typed_errors(self._name):
            pieces = self._instance.stream(self._message["request"], self._call)
        chunks = checked_pieces(self._name, self._message["request"], pieces)
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
        while self._room is not None and not self._room.acquire(timeout=_TICK):
            self._call.check()

    def _progress(self, progress: Progress) -> None:
        if self._token.cancelled:
            raise Cancelled("the call was cancelled")
        self._say("progress", done=progress.done, total=progress.total, preview=progress.preview)
