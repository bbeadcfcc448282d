"""Processes, told from each other although their numbers are used again.

Sources: `proc(5)` (`/proc/PID/stat`, field 22), `random(4)` (`boot_id`).
"""

import os
import socket
from functools import cache
from pathlib import Path

from modelhub.facts import ProcessMark

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 22


def process_mark(pid: int | None = None) -> ProcessMark:
    """The mark of a process of this host, by default of this one."""
    number = os.getpid() if pid is None else pid
    return ProcessMark(
        host=socket.gethostname(), boot_id=_boot_id(), pid=number, started=_started(number)
    )


def is_gone(mark: ProcessMark) -> bool:
    """Whether a process is known to have ended; of another host that cannot be known."""
    if mark.host != socket.gethostname():
        return False
    if mark.boot_id != _boot_id():
        return True
    try:
        os.kill(mark.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # it is there, and another user's
    return mark.started is not None and _started(mark.pid) != mark.started


@cache
def _boot_id() -> str:
    try:
        return _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name, in brackets, may hold anything, brackets too: what follows the last one counts.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state == "Z" else int(fields[_START_FIELD - 4])
