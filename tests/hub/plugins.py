"""Plugins of strangers, wrong in one way each; a child process finds them here too."""

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


class OfTheFuture(Plugin):
    api_version = 2
