"""Which host loads what."""

from modelhub.runtimes.base import Bundle, Runtime
from modelhub.runtimes.hosts.base import Host
from modelhub.runtimes.hosts.process import ProcessHost
from modelhub.runtimes.hosts.thread import ThreadHost


class Hosts:
    """The hosts of one Hub. `default` is the name of the one that loads what does not need another.

    `python` is the interpreter of the processes, this one by default.
    """

    def __init__(self, default: str = ThreadHost.name, python: str | None = None) -> None:
        self._thread, self._process = ThreadHost(), ProcessHost(python)
        self._default: Host = self._process if default == ProcessHost.name else self._thread

    def choose(self, runtime: Runtime, bundle: Bundle) -> Host:
        """The process host for a runtime that asks for it, for a repository's own code, and for pickles that
        may run some.
        """
        apart = runtime.isolated or bundle.code_allowed or bundle.trusted
        return self._process if apart else self._default
