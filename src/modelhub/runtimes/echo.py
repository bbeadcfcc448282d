"""The smallest runtime: it says again what the user said last. No engine, no weights are read.

For documentation, for tests, and to measure what modelhub itself costs. It is taken only when a
caller names it: `runtime="echo"`.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from modelhub.errors import EngineError, TaskNotSupported
from modelhub.facts import Call, Device, Fact, Model, Variant
from modelhub.runtimes.base import (
    Bundle,
    Capabilities,
    Footprint,
    Instance,
    Parts,
    Runtime,
    Support,
)
from modelhub.runtimes.bound import check_format
from modelhub.tasks import (
    ChatChunk,
    ChatReply,
    ChatRequest,
    FinishReason,
    Request,
    Role,
    Usage,
    build_request,
)

_WORD = re.compile(r"\s*\S+(?:\s+\Z)?")
_STEP = 0.05


class EchoOptions(Fact):
    """How an echo is loaded."""

    delay: Annotated[float, Field(ge=0, le=60)] = Field(0.0, description="Seconds between two words.")


class EchoRuntime(Runtime):
    """Repeats the last user message, a word a token."""

    name = "echo"
    tasks = ("text-generation",)
    formats = ("gguf", "safetensors", "onnx", "pytorch")
    priority = -100
    explicit = True

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:  # noqa: ARG002 - there is nothing to load
        return EchoInstance(build_request(EchoOptions, **options))

    def check_options(self, options: Mapping[str, Any]) -> None:
        build_request(EchoOptions, **options)

    def supports(self, model: Model, variant: Variant, device: Device) -> Support:  # noqa: ARG002 - it reads nothing
        return Support(ok=True)

    def footprint(
        self,
        model: Model,  # noqa: ARG002 - it reads nothing
        variant: Variant,  # noqa: ARG002
        device: Device,  # noqa: ARG002
        options: Mapping[str, Any],  # noqa: ARG002
    ) -> Footprint:
        return Footprint(total=0)


class EchoInstance(Instance):
    """A loaded echo."""

    capabilities = Capabilities(max_concurrency=1024, streaming=True)

    def __init__(self, options: EchoOptions) -> None:
        self._delay = options.delay
        self._closed = threading.Event()

    def infer(self, request: Request, call: Call) -> ChatReply:
        chunks = list(self.stream(request, call))
        last = chunks[-1]
        assert last.finish_reason is not None
        assert last.usage is not None
        text = "".join(chunk.text for chunk in chunks)
        return ChatReply(text=text, finish_reason=last.finish_reason, usage=last.usage)

    def stream(self, request: Request, call: Call) -> Iterator[ChatChunk]:
        if not isinstance(request, ChatRequest):
            raise TaskNotSupported("echo can only chat", hint="It serves text-generation.")
        check_format(request, "echo", ())
        self._check(call)
        return self._chunks(request, call)

    def _chunks(self, request: ChatRequest, call: Call) -> Iterator[ChatChunk]:
        words, finish = answer(request)
        for word in words:
            self._pause(call)
            yield ChatChunk(text=word)
        self._check(call)
        asked = sum(len(message.content.split()) for message in request.messages)
        usage = Usage(prompt_tokens=asked, completion_tokens=len(words))
        yield ChatChunk(finish_reason=finish, usage=usage)

    def _pause(self, call: Call) -> None:
        self._check(call)
        until = time.monotonic() + self._delay
        while (left := until - time.monotonic()) > 0:
            self._closed.wait(min(left, _STEP))
            self._check(call)

    def _check(self, call: Call) -> None:
        call.check()
        if self._closed.is_set():
            raise EngineError("this echo was unloaded", hint="Load it again.")

    def close(self) -> None:
        self._closed.set()


def answer(request: ChatRequest) -> tuple[tuple[str, ...], FinishReason]:
    """The words of the echo, each with the blanks before it, and why it ends."""
    said = [message.content for message in request.messages if message.role is Role.USER]
    text = said[-1] if said else ""
    ends = [found for stop in request.stop if (found := text.find(stop)) >= 0]
    words = tuple(_WORD.findall(text[: min(ends)] if ends else text))
    if request.max_tokens is not None and request.max_tokens < len(words):
        return words[: request.max_tokens], FinishReason.LENGTH
    return words, FinishReason.STOP
