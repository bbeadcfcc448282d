"""What a runtime's tests are about: a runtime with a model for it, requests, and the answers to them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelhub.facts import Call
from modelhub.runtimes.base import Bundle, Instance, Runtime
from modelhub.runtimes.devices import find_device
from modelhub.runtimes.hosts import Host, Order, ProcessHost, ThreadHost
from modelhub.runtimes.instances import SharedParts
from modelhub.tasks import Request

HOSTS: Mapping[str, Host] = {host.name: host for host in (ThreadHost(), ProcessHost())}
"""Where each rule is tried."""


@dataclass(frozen=True)
class Subject:
    """A runtime with a model for it. `options` are how tests load it.

    `origin` is the `module:name` that makes the runtime in another process; by default its class,
    which must then be at the top of a module.
    """

    runtime: Runtime
    bundle: Bundle
    options: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    def load(self, host: str = ThreadHost.name, **options: Any) -> Instance:
        """The model, loaded by the host of that name, with `options` besides its own."""
        kind = type(self.runtime)
        origin = self.origin or f"{kind.__module__}:{kind.__qualname__}"
        order = Order(self.runtime, origin, self.bundle, find_device("cpu"), {**self.options, **options})
        return HOSTS[host].load(order, SharedParts(), Call())


@dataclass(frozen=True)
class Case:
    """A request and the whole answer to it, as the contract's `read` gives it: the text of a chat."""

    request: Request
    answer: Any


class UnknownRequest(Request):
    """A kind of request that no runtime serves."""
