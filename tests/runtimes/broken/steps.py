"""Work in steps, each wrong in one way."""

from collections.abc import Mapping
from typing import Any, ClassVar

from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts
from modelhub.tasks import Request, Result, build_request
from tests.runtimes.fakes.steps import Options, StepsInstance, StepsRuntime


class Wrong(StepsRuntime):
    """Loads `instance`."""

    instance: ClassVar[type[StepsInstance]] = StepsInstance

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return self.instance(build_request(Options, **options).delay)


class _Told(Call):
    """A call as a wrong runtime sees it."""

    __slots__ = ("_real",)

    def __init__(self, real: Call) -> None:
        super().__init__()
        self._real = real


class _EverySecond(_Told):
    def check(self) -> None:
        self._real.check()

    def progress(self, done: int, total: int | None = None, preview: bytes | None = None) -> None:
        if done % 2 == 0:
            self._real.progress(done, total, preview)


class _Blind(_EverySecond):
    def progress(self, done: int, total: int | None = None, preview: bytes | None = None) -> None:
        self._real.progress(done, total)


class _Late(_Told):
    """Looks at the call before its last step only."""

    def check(self) -> None:
        pass

    def progress(self, done: int, total: int | None = None, preview: bytes | None = None) -> None:
        self._real.progress(done, total, preview)
        if total is not None and done >= total - 1:
            self._real.check()


class Skipping(StepsInstance):
    def infer(self, request: Request, call: Call) -> Result:
        return super().infer(request, _EverySecond(call))


class Blind(StepsInstance):
    def infer(self, request: Request, call: Call) -> Result:
        return super().infer(request, _Blind(call))


class Late(StepsInstance):
    def infer(self, request: Request, call: Call) -> Result:
        return super().infer(request, _Late(call))
