"""Begins as a child: `python -m modelhub.runtimes.child SOCKET LIFELINE`, two open descriptors.

The parent (`runtimes/hosts/worker.py`) speaks over the socket. The lifeline is a pipe whose other end
the parent holds: when it breaks, this process ends at once.
"""

import fcntl
import os
import platform
import signal
import socket
import sys
from importlib.metadata import version

from modelhub.runtimes.child.service import Service
from modelhub.runtimes.hosts.channel import Channel
from modelhub.runtimes.hosts.process import PROTOCOL


def main(socket_fd: int, lifeline: int) -> None:
    """Serve until the parent says that it is enough, or is gone."""
    os.dup2(2, 1)  # what an engine prints is for the parent's log, like its errors
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's, who cancels what it means
    _hang_on(lifeline)
    os.set_inheritable(socket_fd, False)
    channel = Channel(socket.socket(fileno=socket_fd), may_import=True)
    hello = {
        "type": "hello",
        "id": 0,
        "protocol": PROTOCOL,
        "modelhub": version("modelhub"),
        "python": platform.python_version(),
    }
    channel.send(hello)
    Service(channel).run()


def _hang_on(lifeline: int) -> None:
    """Let the kernel end this process, and what it started, when the pipe breaks, whoever holds the
    interpreter's lock.

    SIGIO's default action does it: `O_ASYNC` in `fcntl(2)`. On macOS it is ignored; there the socket
    tells, as soon as Python runs.
    """
    os.set_inheritable(lifeline, False)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
    flags = fcntl.fcntl(lifeline, fcntl.F_GETFL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, flags | os.O_ASYNC | os.O_NONBLOCK)
    try:
        if not os.read(lifeline, 1):
            os._exit(1)  # it broke before anybody listened
    except BlockingIOError:
        return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
