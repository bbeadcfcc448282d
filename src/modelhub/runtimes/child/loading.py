"""Loads the model that a `load` message describes."""

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from modelhub.errors import LoadFailed, RuntimeBroken, RuntimeNotInstalled
from modelhub.refs import Digest
from modelhub.runtimes.base import Bundle, Instance, Runtime
from modelhub.runtimes.discovery import GROUP
from modelhub.runtimes.guard import check_instance, typed_errors
from modelhub.runtimes.hosts.wire import Message
from modelhub.runtimes.instances import SharedParts


def load(message: Message) -> Instance:
    """The instance.

    Raises:
        RuntimeNotInstalled: when this interpreter lacks what the runtime needs.
        LoadFailed, RuntimeBroken, and what the runtime raises.
    """
    runtime = _runtime(message["origin"])
    if missing := runtime.missing():
        install = f"{sys.executable} -m {runtime.install}" if runtime.install else ""
        raise RuntimeNotInstalled(
            f"{runtime.name} needs {', '.join(missing)}, which {sys.executable} does not have",
            hint=f"Run: {install}" if install else "",
            install=install,
        )
    roots = {name: Path(folder) for name, folder in message["roots"].items()}
    trusted = frozenset(map(Digest, message["trusted"]))
    bundle = Bundle(message["model"], message["variant"], roots, message["code_allowed"], trusted)
    with typed_errors(runtime.name, LoadFailed):
        loaded = runtime.load(bundle, message["device"], message["options"], SharedParts())
    return check_instance(runtime.name, loaded)


def _runtime(origin: str) -> Runtime:
    """What an entry point of this value makes, here. Nothing else is imported by a name in a message
    but kinds of requests.
    """
    try:
        made = EntryPoint(name="runtime", value=origin, group=GROUP).load()
        runtime = made() if isinstance(made, type) else made
    except (Exception, SystemExit) as error:
        raise RuntimeBroken(
            f"{origin} cannot be imported by {sys.executable}: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(runtime, Runtime):
        raise RuntimeBroken(f"{origin} is not a Runtime but {type(runtime).__name__!r}")
    return runtime
