"""A runtime that gives back the image it gets: what is left of a call is what its host costs."""

from collections.abc import Mapping
from typing import Any

from modelhub.errors import TaskNotSupported
from modelhub.facts import Call, Device
from modelhub.facts.arrays import Array, ArrayFact
from modelhub.runtimes import Bundle, Capabilities, Instance, Parts, Runtime
from modelhub.tasks import Request, Result


class ImageRequest(Request, ArrayFact):
    """A float32 image, (channels, height, width)."""

    image: Array("float32", 3)  # type: ignore[valid-type]


class ImageResult(Result, ArrayFact):
    """The same image."""

    image: Array("float32", 3)  # type: ignore[valid-type]


class MirrorRuntime(Runtime):
    name = "mirror"
    tasks = ("image-to-image",)
    formats = ("gguf",)

    def load(
        self,
        bundle: Bundle,  # noqa: ARG002 - there is nothing to load
        device: Device,  # noqa: ARG002
        options: Mapping[str, Any],  # noqa: ARG002
        parts: Parts,  # noqa: ARG002
    ) -> Instance:
        return MirrorInstance()


class MirrorInstance(Instance):
    capabilities = Capabilities(max_concurrency=8)

    def infer(self, request: Request, call: Call) -> ImageResult:
        if not isinstance(request, ImageRequest):
            raise TaskNotSupported("the mirror takes images")
        call.check()
        return ImageResult(image=request.image)

    def close(self) -> None:
        pass
