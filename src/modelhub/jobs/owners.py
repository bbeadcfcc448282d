"""Who works: names for workers by which a dead one can be told, also when its number is used again."""

import os
from uuid import uuid4

from modelhub.facts import ProcessMark
from modelhub.runtimes.processes import is_gone, process_mark

__all__ = ["is_dead", "me"]


def me() -> str:
    """A name that no other piece of work has: host, process, when that began, a mark."""
    mark = process_mark()
    began = "" if mark.started is None else f"t{mark.started}:"
    return f"{mark.host}:{mark.pid}:{began}{uuid4().hex[:12]}"


def is_dead(owner: str) -> bool:
    """Whether the owner was a process of this machine that is gone."""
    host, _, rest = owner.partition(":")
    pid, _, rest = rest.partition(":")
    if not pid.isdigit() or os.name != "posix":
        return False
    began = rest.partition(":")[0].removeprefix("t") if rest.startswith("t") else ""
    mine = process_mark()
    mark = ProcessMark(
        host=host, boot_id=mine.boot_id, pid=int(pid), started=int(began) if began.isdigit() else None
    )
    return is_gone(mark)
