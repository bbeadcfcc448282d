"""Forty steps, with progress after each and a preview after some: paints a grey picture."""

import time
from collections.abc import Mapping
from threading import Event
from typing import Any

from modelhub.errors import EngineError, TaskNotSupported
from modelhub.facts import Call, Device, Fact
from modelhub.runtimes import Bundle, Capabilities, Instance, Parts, Runtime
from modelhub.tasks import Request, Result, build_request
from tests.runtimes.fakes.files import check_sound

STEPS = 40
EVERY = 10


class PaintRequest(Request):
    grey: int


class PaintResult(Result):
    picture: bytes


class Options(Fact):
    delay: float = 0.0


class StepsRuntime(Runtime):
    name = "steps"
    tasks = ("text-to-image",)
    formats = ("text",)

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        check_sound(bundle)
        return StepsInstance(build_request(Options, **options).delay)


class StepsInstance(Instance):
    capabilities = Capabilities(max_concurrency=2)

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._closed = Event()

    def infer(self, request: Request, call: Call) -> Result:
        if not isinstance(request, PaintRequest):
            raise TaskNotSupported("it only paints")
        picture = bytes(16)
        for step in range(1, STEPS + 1):
            self._check(call)
            self._pause(call)
            if request.grey < 0:
                raise RuntimeError("darker than black")
            picture = bytes([request.grey * step // STEPS] * 16)
            call.progress(step, STEPS, picture if step % EVERY == 0 else None)
        self._check(call)
        return PaintResult(picture=picture)

    def _pause(self, call: Call) -> None:
        until = time.monotonic() + self._delay
        while (left := until - time.monotonic()) > 0:
            self._closed.wait(min(left, 0.02))
            self._check(call)

    def _check(self, call: Call) -> None:
        call.check()
        if self._closed.is_set():
            raise EngineError("this model was unloaded")

    def close(self) -> None:
        self._closed.set()
