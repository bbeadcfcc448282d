"""A runtime that repeats what it is told, in capital letters."""

import re
import time
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from modelhub.errors import LoadFailed
from modelhub.facts import Call, Device, Fact
from modelhub.runtimes import Bundle, Capabilities, Parts, Runtime, Say, SerialInstance, Writing
from modelhub.tasks import ChatChunk, ChatRequest, FinishReason, Usage, build_request


class ShoutOptions(Fact):
    pause: Annotated[float, Field(ge=0, le=60)] = 0.0  # seconds before each word


class ShoutRuntime(Runtime):
    name = "shout"
    tasks = ("text-generation",)
    formats = ("gguf",)
    explicit = True  # taken only when a caller says runtime="shout"

    def load(
        self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts
    ) -> "ShoutInstance":
        chosen = build_request(ShoutOptions, **options)
        weights = bundle.files("model")[0]
        with weights.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise LoadFailed(f"{weights.name} is not a GGUF file")
        return ShoutInstance(chosen)


class ShoutInstance(SerialInstance):
    engine = "shout"

    def __init__(self, options: ShoutOptions) -> None:
        super().__init__(Capabilities(streaming=True), (ChatRequest,))
        self._pause = options.pause

    def work(self, request: Any, call: Call, say: Say) -> None:
        words = re.findall(r"\s*\S+", request.messages[-1].content.upper())
        said = words[: request.max_tokens]
        writing = Writing(request.stop)
        for word in said:
            time.sleep(self._pause)
            if any(map(say, writing.feed(word))):
                return
        if any(map(say, writing.end())):
            return
        cut = len(said) < len(words) and not writing.stopped
        usage = Usage(prompt_tokens=len(words), completion_tokens=len(said))
        say(ChatChunk(finish_reason=FinishReason.LENGTH if cut else FinishReason.STOP, usage=usage))

    def release(self) -> None:
        """Nothing was taken."""
