"""A model in another process, used like one in this."""

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelhub.errors import Cancelled, DeadlineExceeded, EngineError, ModelHubError
from modelhub.facts import Call
from modelhub.runtimes.base import Capabilities, Instance
from modelhub.runtimes.hosts.wire import Message, read_error
from modelhub.runtimes.hosts.worker import Worker
from modelhub.tasks import Request, Result

WINDOW = 64
"""Chunks that a child may send ahead of a stream's reader."""

_STATS_PATIENCE = 2.0


class RemoteInstance(Instance):
    """Passes requests on to the child that holds the model, and its answers back.

    The child is told to stop when a call is over here: cancelled, late, or its stream left.
    """

    def __init__(self, worker: Worker, capabilities: Capabilities) -> None:
        self.capabilities = capabilities
        self._worker = worker
        self._close = weakref.finalize(self, worker.close)  # at the end of the program too

    @property
    def alive(self) -> bool:
        return self._worker.alive

    @property
    def pid(self) -> int | None:
        return self._worker.pid

    @property
    def memory(self) -> int | None:
        """Bytes of memory that are the child's own; `None` when it does not say in time."""
        try:
            answers = list(self._worker.ask({"type": "stats"}, Call(timeout=_STATS_PATIENCE)))
        except ModelHubError:
            return None
        return int(answers[-1]["memory"]) if answers[-1].get("memory") is not None else None

    def infer(self, request: Request, call: Call) -> Result:
        message = {"type": "call", "verb": "infer", "request": request}
        for answer in self._ask(message, call):
            result: Result = answer["result"]
        return result

    def infer_many(
        self, requests: Sequence[Request], calls: Sequence[Call]
    ) -> Sequence[Result | ModelHubError]:
        """One message for all. The batch is waited for as long as any of its calls wants it; a call
        that is over by then has its own error as its entry.
        """
        message = {
            "type": "call",
            "verb": "infer_many",
            "requests": list(requests),
            "each": [call.remaining for call in calls],
        }
        try:
            for answer in self._ask(message, _Together(calls)):
                entries = answer["results"]
        except (Cancelled, DeadlineExceeded) as error:
            entries = [error] * len(calls)
        return [_entry(entry, call) for entry, call in zip(entries, calls, strict=True)]

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        if not self.capabilities.streaming:
            return super().stream(request, call)
        return self._stream(request, call)

    def _stream(self, request: Request, call: Call) -> Iterator[Any]:
        message = {"type": "call", "verb": "stream", "request": request, "window": WINDOW}
        for read, answer in enumerate(self._ask(message, call), 1):
            if answer["type"] != "chunk":
                return
            yield answer["chunk"]
            call.check()
            if read % (WINDOW // 2) == 0:
                self._worker.more(answer["id"], WINDOW // 2)

    def _ask(self, message: Mapping[str, Any], call: Call) -> Iterator[Message]:
        """The answers of a call but for its progress, which is passed on.

        Raises:
            ModelHubError: what the child raised, its cause included.
        """
        left = call.remaining
        whole = {"remaining": left, "call": call.id, **message}
        asking = self._worker.ask(whole, call)
        try:
            for answer in asking:
                match answer["type"]:
                    case "progress":
                        call.progress(answer["done"], answer["total"], answer["preview"])
                        call.check()
                    case "error":
                        raise read_error(answer)
                    case _:
                        yield answer
        finally:
            asking.close()

    def close(self) -> None:
        self._close()


class _Together(Call):
    """The calls of a batch as one: over when all of them are."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Sequence[Call]) -> None:
        super().__init__()
        self._calls = calls

    def check(self) -> None:
        errors = [error for call in self._calls if (error := _over(call)) is not None]
        if errors and len(errors) == len(self._calls):
            raise errors[0]


def _over(call: Call) -> ModelHubError | None:
    try:
        call.check()
    except (Cancelled, DeadlineExceeded) as error:
        return error
    return None


def _entry(entry: Any, call: Call) -> Result | ModelHubError:
    if (error := _over(call)) is not None:
        return error
    if isinstance(entry, Result | ModelHubError):
        return entry
    return read_error(entry) if isinstance(entry, dict) else EngineError("no answer")
