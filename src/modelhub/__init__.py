"""One import for every open model."""

from typing import TYPE_CHECKING

from modelhub.errors import ModelHubError
from modelhub.refs import ModelRef

__all__ = ["Hub", "ModelHubError", "ModelRef", "__version__"]

if TYPE_CHECKING:
    from modelhub.hub import Hub

    __version__: str
else:

    def __getattr__(name: str) -> object:
        # `import modelhub` stays near bare Python: the rooms load on first touch.
        if name == "Hub":
            from modelhub.hub import Hub

            return Hub
        if name == "__version__":
            from importlib.metadata import version

            return version("modelhub")
        raise AttributeError(f"module 'modelhub' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
