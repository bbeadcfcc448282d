"""Token streams, each wrong in one way."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from modelhub.errors import EngineError
from modelhub.facts import Call, Device, Model, Variant
from modelhub.runtimes import Bundle, Capabilities, Footprint, Instance, Parts
from modelhub.tasks import ChatChunk, ChatReply, ChatRequest, FinishReason, Request, Usage, build_request
from tests.runtimes.fakes.files import check_sound
from tests.runtimes.fakes.tokens import Options, TokensInstance, TokensRuntime

WHILE = 3.0
"""Seconds for which what is wrong goes on: longer than the suite waits, and no longer than need be."""


class Wrong(TokensRuntime):
    """Loads `instance`."""

    instance: ClassVar[type[Instance]] = TokensInstance

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        check_sound(bundle)
        return self.instance(build_request(Options, **options).delay)  # type: ignore[call-arg]


class Nameless(TokensRuntime):
    def version(self) -> str:
        return ""


class Choosy(TokensRuntime):
    formats = ("gguf",)


class Optimist(TokensRuntime):
    def footprint(
        self, model: Model, variant: Variant, device: Device, options: Mapping[str, Any]
    ) -> Footprint:
        return Footprint(total=1, per_device={"cpu": 2})


class Carefree(TokensRuntime):
    @classmethod
    def missing(cls) -> tuple[str, ...]:
        return ()


class Indifferent(TokensRuntime):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        known = {"delay": options.get("delay", 0)}
        return super().load(bundle, device, known, parts)


class Unread(TokensRuntime):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return TokensInstance(0)


class Littering(TokensRuntime):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        threading.Thread(target=time.sleep, args=(WHILE,), daemon=True).start()
        return super().load(bundle, device, options, parts)


class Loud(TokensInstance):
    def infer(self, request: Request, call: Call) -> Any:
        reply = super().infer(request, call)
        return reply.model_copy(update={"text": reply.text.upper()})


class Backwards(TokensInstance):
    def infer_many(self, requests: Sequence[Request], calls: Sequence[Call]) -> Sequence[Any]:
        return list(reversed(super().infer_many(requests, calls)))


class Rash(TokensInstance):
    """One bad request and the whole batch is lost."""

    def infer_many(self, requests: Sequence[Request], calls: Sequence[Call]) -> Sequence[Any]:
        return [self.infer(*pair) for pair in zip(requests, calls, strict=True)]


class Obliging(TokensInstance):
    """Answers whatever it is asked."""

    def infer(self, request: Request, call: Call) -> Any:
        if isinstance(request, ChatRequest):
            return super().infer(request, call)
        usage = Usage(prompt_tokens=1, completion_tokens=1)
        return ChatReply(text="certainly", finish_reason=FinishReason.STOP, usage=usage)

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        if isinstance(request, ChatRequest):
            return super().stream(request, call)
        return iter([ChatChunk(text="certainly")])


class Deaf(TokensInstance):
    """Never looks at its call."""

    def infer(self, request: Request, call: Call) -> Any:
        return super().infer(request, Call(timeout=WHILE))

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        return super().stream(request, Call(timeout=WHILE))


class Sulking(TokensInstance):
    """After an early end it will not answer any more."""

    def infer(self, request: Request, call: Call) -> Any:
        if getattr(self, "_sulks", False):
            raise EngineError("busy")
        self._sulks = True
        return super().infer(request, call)


class Terse(TokensInstance):
    """Drops what its engine said."""

    def infer(self, request: Request, call: Call) -> Any:
        try:
            return super().infer(request, call)
        except EngineError:
            raise EngineError("something went wrong") from None


class Muddled(TokensInstance):
    """Keeps what it is asked where the next caller finds it."""

    def infer(self, request: Request, call: Call) -> Any:
        self._asked = request
        time.sleep(0.02)
        return super().infer(self._asked, call)


class Boastful(TokensInstance):
    """Says that it takes many calls, and takes one."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self._taken = threading.Lock()

    def infer(self, request: Request, call: Call) -> Any:
        if not self._taken.acquire(blocking=False):
            raise EngineError("busy")
        try:
            return super().infer(request, call)
        finally:
            self._taken.release()


class Undead(TokensInstance):
    """Closing it does nothing."""

    def close(self) -> None:
        pass


class Touchy(TokensInstance):
    """Does not bear to be closed twice."""

    def close(self) -> None:
        if self._closed:
            raise RuntimeError("already closed")
        super().close()


class Siamese(TokensInstance):
    """When one is closed, so are all."""

    ended: ClassVar[bool] = False

    def infer(self, request: Request, call: Call) -> Any:
        if Siamese.ended:
            raise EngineError("this model was unloaded")
        return super().infer(request, call)

    def close(self) -> None:
        Siamese.ended = True
        super().close()


class Silent(TokensInstance):
    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self.capabilities = Capabilities(max_concurrency=4)


class Forgetful(TokensInstance):
    """Loses the second piece of every stream."""

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        pieces = super().stream(request, call)
        return (piece for index, piece in enumerate(pieces) if index != 1)


class Possessive(TokensInstance):
    """Holds its engine from the first piece of a stream to the last, whoever else waits.

    `early` takes it even before the first; `late` keeps it for a while after the reader has left.
    """

    early: ClassVar[bool] = False
    late: ClassVar[float] = 0.0

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        self._held_by = threading.Semaphore(1)

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        if self.early:
            self._held_by.acquire(timeout=WHILE / 2)
        return self._held(super().stream(request, call))

    def _held(self, pieces: Iterator[Any]) -> Iterator[Any]:
        if not self.early:
            self._held_by.acquire(timeout=WHILE / 2)
        try:
            yield from pieces
        finally:
            threading.Timer(self.late, self._held_by.release).start()


class Eager(Possessive):
    early = True


class Lingering(Possessive):
    late = WHILE


class Reopening(TokensInstance):
    """Its streams go on after they were closed."""

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        return _Reopened(super().stream(request, call))


class _Reopened(Iterator[Any]):
    def __init__(self, pieces: Iterator[Any]) -> None:
        self._pieces = pieces

    def __next__(self) -> Any:
        return next(self._pieces)

    def close(self) -> None:
        pass


class Waiting(TokensInstance):
    """Closing it waits until its streams have ended."""

    def close(self) -> None:
        until = time.monotonic() + WHILE
        while any(self._turns) and time.monotonic() < until:
            time.sleep(0.05)
        super().close()


class Threads(TokensInstance):
    """A thread for each stream, which outlives it."""

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        threading.Thread(target=time.sleep, args=(WHILE,), daemon=True).start()
        return super().stream(request, call)


class Miscounting(TokensInstance):
    def infer(self, request: Request, call: Call) -> Any:
        reply = super().infer(request, call)
        usage = Usage(prompt_tokens=0, completion_tokens=0)
        return reply.model_copy(update={"usage": usage})


class Abrupt(TokensInstance):
    """Says why it ended on the last piece of text, and then has nothing more to say."""

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        *_, text, last = super().stream(request, call)
        yield last.model_copy(update={"text": text.text})


class Ignoring(TokensInstance):
    """Takes a response format for a remark."""

    def infer(self, request: Request, call: Call) -> Any:
        return super().infer(request.model_copy(update={"response_format": None}), call)


class Endless(TokensInstance):
    """Knows no limit and no stop."""

    def infer(self, request: Request, call: Call) -> Any:
        free = {"max_tokens": None, "stop": ()}
        return super().infer(request.model_copy(update=free), call)
