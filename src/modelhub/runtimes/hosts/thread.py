"""Models in this process, in the callers' threads."""

from modelhub.errors import LoadFailed
from modelhub.facts import Call
from modelhub.runtimes.base import Instance, Parts
from modelhub.runtimes.guard import check_instance, typed_errors
from modelhub.runtimes.hosts.base import Host, Order


class ThreadHost(Host):
    """Loads where it is called. A load that has begun cannot be ended."""

    name = "thread"

    def load(self, order: Order, parts: Parts, call: Call) -> Instance:
        call.check()
        with typed_errors(order.runtime.name, LoadFailed):
            loaded = order.runtime.load(order.bundle, order.device, order.options, parts)
        return check_instance(order.runtime.name, loaded)
