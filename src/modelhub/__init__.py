"""One import for every open model."""

from typing import TYPE_CHECKING

__all__ = ["Hub", "ModelHubError", "ModelRef", "__version__"]

if TYPE_CHECKING:
    from modelhub.errors import ModelHubError
    from modelhub.hub import Hub
    from modelhub.refs import ModelRef

    __version__: str
else:
    # `import modelhub` stays near bare Python: each name brings its room on first touch.
    _ROOMS = {"Hub": "modelhub.hub", "ModelHubError": "modelhub.errors", "ModelRef": "modelhub.refs"}

    def __getattr__(name: str) -> object:
        if name in _ROOMS:
            from importlib import import_module

            return getattr(import_module(_ROOMS[name]), name)
        if name == "__version__":
            from importlib.metadata import version

            return version("modelhub")
        raise AttributeError(f"module 'modelhub' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
