"""Where models are loaded: `thread` is this process, `process` a child each. Behind one interface."""

from modelhub.runtimes.hosts.base import Host, Order
from modelhub.runtimes.hosts.choice import Hosts
from modelhub.runtimes.hosts.process import ProcessHost
from modelhub.runtimes.hosts.thread import ThreadHost

__all__ = ["Host", "Hosts", "Order", "ProcessHost", "ThreadHost"]
