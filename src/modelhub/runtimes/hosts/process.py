"""Models in processes of their own: a child each, `python -m modelhub.runtimes.child`."""

import sys
from importlib.metadata import version

from modelhub.errors import EngineError, InvalidInput, LoadFailed, ProcessLost, RuntimeNotInstalled
from modelhub.facts import Call
from modelhub.runtimes.base import Capabilities, Instance, Parts
from modelhub.runtimes.hosts.base import Host, Order
from modelhub.runtimes.hosts.remote import RemoteInstance
from modelhub.runtimes.hosts.wire import Message, read_error
from modelhub.runtimes.hosts.worker import Worker

PROTOCOL = 2
"""Raised whenever what the two processes say to each other changes."""


class ProcessHost(Host):
    """Loads each model in a child that `python` runs (this interpreter by default).

    What happens there stays there: a crash, a lock that is held for long, memory that is not given
    back. A load can be ended. Components are shared between instances of one process only, so not here.
    """

    name = "process"

    def __init__(self, python: str | None = None) -> None:
        self.python = python or sys.executable

    def load(self, order: Order, parts: Parts, call: Call) -> Instance:  # noqa: ARG002 - the child has its own
        call.check()
        message = _load_message(order)
        worker = Worker(order.runtime.name, self.python)
        try:
            self._check_hello(worker, call)
            capabilities = _loaded(worker, message, call)
        except BaseException:
            worker.kill()
            raise
        return RemoteInstance(worker, capabilities)

    def _check_hello(self, worker: Worker, call: Call) -> None:
        try:
            hello = worker.hello(call)
        except ProcessLost as error:
            raise self._not_started(worker, error) from error
        if (hello.get("protocol"), hello.get("modelhub")) != (PROTOCOL, version("modelhub")):
            raise LoadFailed(
                f"{self.python} has modelhub {hello.get('modelhub')}, which speaks protocol "
                f"{hello.get('protocol')}; this is {version('modelhub')} and speaks {PROTOCOL}",
                hint=f"Run: {self.python} -m pip install modelhub=={version('modelhub')}",
            )

    def _not_started(self, worker: Worker, error: ProcessLost) -> Exception:
        if "No module named 'modelhub" in worker.last_words():
            install = f"{self.python} -m pip install modelhub=={version('modelhub')}"
            return RuntimeNotInstalled(
                f"{self.python} has no modelhub", hint=f"Run: {install}", install=install
            )
        return LoadFailed(f"{error.message} before it could load anything", hint=error.hint)


def _load_message(order: Order) -> Message:
    if not all(isinstance(name, str) for name in order.options):
        raise InvalidInput("options: their names must be texts", field="options")
    bundle = order.bundle
    return {
        "type": "load",
        "name": order.runtime.name,
        "origin": order.origin,
        "model": bundle.model,
        "variant": bundle.variant,
        "roots": {name: str(folder) for name, folder in bundle.roots.items()},
        "code_allowed": bundle.code_allowed,
        "trusted": sorted(bundle.trusted),
        "device": order.device,
        "options": dict(order.options),
    }


def _loaded(worker: Worker, message: Message, call: Call) -> Capabilities:
    try:
        answers = list(worker.ask(message, call))
    except ProcessLost as error:
        raise LoadFailed(f"{error.message} while it loaded the model", hint=error.hint) from error
    answer = answers[-1]
    if answer["type"] == "error":
        raise read_error(answer)
    capabilities = answer.get("capabilities")
    if not isinstance(capabilities, Capabilities):
        raise EngineError(f"the process of {worker.name} did not say what its model can do")
    return capabilities
