"""A token stream: says the user's words again, one at a time."""

import time
from collections.abc import Mapping
from typing import Any

from modelhub.facts import Call, Device, Fact
from modelhub.runtimes import Bundle, Capabilities, Instance, Parts, Runtime
from modelhub.runtimes.echo import answer
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.turn import Say
from modelhub.tasks import ChatChunk, ChatRequest, Request, Usage, build_request
from tests.runtimes.fakes.files import check_sound


class Options(Fact):
    delay: float = 0.0


class TokensRuntime(Runtime):
    name = "tokens"
    tasks = ("text-generation",)
    formats = ("text",)

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        check_sound(bundle)
        return TokensInstance(build_request(Options, **options).delay)


class TokensInstance(SerialInstance):
    engine = "tokens"

    def __init__(self, delay: float) -> None:
        super().__init__(Capabilities(streaming=True), (ChatRequest,))
        self._delay = delay

    def work(self, request: Request, call: Call, say: Say) -> None:
        assert isinstance(request, ChatRequest)
        words, finish = answer(request)
        for word in words:
            if word == "fail":
                raise RuntimeError("out of words")
            time.sleep(self._delay)
            if say(ChatChunk(text=word)):
                return
        usage = Usage(prompt_tokens=1, completion_tokens=len(words))
        say(ChatChunk(finish_reason=finish, usage=usage))

    def release(self) -> None:
        pass
