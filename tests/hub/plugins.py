"""Plugins of strangers, wrong in one way each; a child process finds them here too."""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.errors import LoadFailed
from modelhub.facts import Call, Device, Model, Variant
from modelhub.runtimes import Bundle, Instance, Parts, Runtime, Support
from modelhub.runtimes.echo import EchoInstance, EchoOptions
from modelhub.tasks import Request


class Plugin(Runtime):
    """What is right about them."""

    name = "plugin"
    tasks = ("text-generation",)
    formats = ("gguf",)
    explicit = True

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return EchoInstance(EchoOptions())


class RaisesInSupports(Plugin):
    def supports(self, model: Model, variant: Variant, device: Device) -> Support:
        raise ZeroDivisionError("in supports")


class RaisesInLoad(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        raise KeyError("in load")


class RefusesToLoad(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        try:
            raise OSError("magic number is wrong")  # noqa: TRY301 - it is the engine that raises
        except OSError as error:
            raise LoadFailed("the engine does not know these weights") from error


class LoadsNothing(Plugin):
    def load(self, *_: Any) -> Any:
        return None


class RaisesInInfer(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return RaisingInstance(EchoOptions())


class RaisingInstance(EchoInstance):
    def infer(self, request: Request, call: Call) -> Any:
        raise RuntimeError("tensor 7 is a teapot")

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        yield from list(super().stream(request, call))[:2]
        raise RuntimeError("tensor 8 is a teapot")


class AnswersWithText(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return TextInstance(EchoOptions())


class TextInstance(EchoInstance):
    def infer(self, request: Request, call: Call) -> Any:
        return "an answer"

    def stream(self, request: Request, call: Call) -> Any:
        return "pieces"


class EndsTheProgramInLoad(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        raise SystemExit(3)


class EndsTheProgramInSupports(Plugin):
    def supports(self, model: Model, variant: Variant, device: Device) -> Support:
        raise SystemExit("in supports")


class EndsTheProgram(Plugin):
    """When it is asked."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return EndingInstance(EchoOptions())


class EndingInstance(EchoInstance):
    def infer(self, request: Request, call: Call) -> Any:
        raise SystemExit(3)

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        yield next(super().stream(request, call))
        raise SystemExit(3)


class SaysNotWhatItCanDo(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        instance: Any = EchoInstance(EchoOptions())
        instance.capabilities = {}
        return instance  # type: ignore[no-any-return]


class StreamsTexts(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return TextsInstance(EchoOptions())


class TextsInstance(EchoInstance):
    def stream(self, request: Request, call: Call) -> Any:
        return iter(["an", "answer"])


class NeverEnds(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return HalfInstance(EchoOptions())


class HalfInstance(EchoInstance):
    """Leaves the last piece of a stream out."""

    def stream(self, request: Request, call: Call) -> Iterator[Any]:
        yield from list(super().stream(request, call))[:-1]


class Forgetful(Plugin):
    """Cannot say how much memory it takes."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return ForgetfulInstance(EchoOptions())


class ForgetfulInstance(EchoInstance):
    @property
    def memory(self) -> int | None:
        raise OSError("no such counter")


class HalfCharacters(Plugin):
    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return HalfCharacterInstance(EchoOptions())


class HalfCharacterInstance(EchoInstance):
    def infer(self, request: Request, call: Call) -> Any:
        return super().infer(request, call).model_copy(update={"text": "half a \ud83d"})


class OfTheFuture(Plugin):
    api_version = 2


class OnlyInChild(Plugin):
    requires = ("only_in_child",)
    install = "pip install only-in-child"

    def version(self) -> str:
        return f"of {sys.executable}"


class EndsItsProcess(Plugin):
    @classmethod
    def missing(cls) -> tuple[str, ...]:
        os.write(1, b"goodbye")
        raise SystemExit(3)
