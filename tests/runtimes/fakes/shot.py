"""One batchable shot over arrays: doubles every number of an image, a batch in one go."""

import time
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import numpy as np

from modelhub.errors import EngineError, ModelHubError, TaskNotSupported
from modelhub.facts import Call, Device, Fact
from modelhub.facts.arrays import Array, ArrayFact
from modelhub.runtimes import Bundle, Capabilities, Instance, Parts, Runtime
from modelhub.tasks import Request, Result, build_request
from tests.runtimes.fakes.files import check_sound

BATCH = 8


class DoubleRequest(Request, ArrayFact):
    image: Array("float32", 2)  # type: ignore[valid-type]


class DoubleResult(Result, ArrayFact):
    image: Array("float32", 2)  # type: ignore[valid-type]


class Options(Fact):
    delay: float = 0.0


class ShotRuntime(Runtime):
    name = "shot"
    tasks = ("image-to-image",)
    formats = ("text",)

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        check_sound(bundle)
        return ShotInstance(build_request(Options, **options).delay)


class ShotInstance(Instance):
    capabilities = Capabilities(max_concurrency=4, max_batch=BATCH)

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._closed = False
        self.shots: list[int] = []
        self._lock = Lock()

    def infer(self, request: Request, call: Call) -> Result:
        (answer,) = self.infer_many([request], [call])
        if isinstance(answer, ModelHubError):
            raise answer
        return answer

    def infer_many(
        self, requests: Sequence[Request], calls: Sequence[Call]
    ) -> Sequence[Result | ModelHubError]:
        answers: list[Any] = [_refusal(*pair) for pair in zip(requests, calls, strict=True)]
        todo = [index for index, refused in enumerate(answers) if refused is None]
        for begin in range(0, len(todo), BATCH):
            some = todo[begin : begin + BATCH]
            self._wait([calls[index] for index in some])
            for index, image in zip(some, self._shoot([requests[index] for index in some]), strict=True):
                answers[index] = _over(calls[index]) or DoubleResult(image=image)
        return answers

    def _shoot(self, requests: Sequence[Any]) -> Any:
        with self._lock:
            self.shots.append(len(requests))
        images = np.stack([request.image for request in requests])
        if np.isnan(images).any():
            raise RuntimeError("not a number")
        return images * 2

    def _wait(self, calls: Sequence[Call]) -> None:
        until = time.monotonic() + self._delay
        while time.monotonic() < until and not all(_over(call) for call in calls):
            self._check_open()
            time.sleep(0.01)
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this model was unloaded")

    def close(self) -> None:
        self._closed = True


def _refusal(request: Request, call: Call) -> ModelHubError | None:
    if not isinstance(request, DoubleRequest):
        return TaskNotSupported("only images are doubled")
    return _over(call)


def _over(call: Call) -> ModelHubError | None:
    try:
        call.check()
    except ModelHubError as error:
        return error
    return None
