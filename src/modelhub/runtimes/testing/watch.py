"""Things that a wrong runtime would do for ever, ended after a while; and what it leaves behind."""

import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


def outcome(within: float, work: Callable[..., Any], *given: Any) -> Any:
    """What `work` gives, or the error that it raises, in another thread.

    Raises:
        AssertionError: when it has not ended after so many seconds.
    """
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(work(*given))
        except BaseException as error:  # noqa: BLE001 - it is the outcome
            done.append(error)

    thread = threading.Thread(target=run, name="watched", daemon=True)
    thread.start()
    thread.join(within)
    assert not thread.is_alive(), f"it has not ended after {within} seconds"
    return done[0]


class Leftovers(NamedTuple):
    """What of this process an instance may have taken: threads, child processes, open files."""

    threads: frozenset[str]
    children: frozenset[int]
    files: int

    @classmethod
    def now(cls) -> "Leftovers":
        """What is there at this moment."""
        gc.collect()
        threads = frozenset(f"{thread.name} ({thread.ident})" for thread in threading.enumerate())
        return cls(threads, _children(), _open_files())

    def more_than(self, before: "Leftovers") -> str:
        """What has come since `before`, for people; empty when nothing has."""
        found = []
        if threads := self.threads - before.threads:
            found.append(f"threads {', '.join(sorted(threads))}")
        if children := self.children - before.children:
            found.append(f"child processes {', '.join(map(str, sorted(children)))}")
        if self.files > before.files:
            found.append(f"{self.files - before.files} open files")
        return "; ".join(found)


def left_behind(before: Leftovers, within: float) -> str:
    """What is there beyond `before` after so many seconds; what ends by itself has that long."""
    until = time.monotonic() + within
    while (left := Leftovers.now().more_than(before)) and time.monotonic() < until:
        time.sleep(0.02)
    return left


def _children() -> frozenset[int]:
    """The child processes, dead ones that nobody has waited for too; none where `proc(5)` is not."""
    found: set[int] = set()
    for listed in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(map(int, listed.read_text(encoding="ascii").split()))
        except OSError:
            continue  # that thread has just ended
    return frozenset(found)


def _open_files() -> int:
    try:
        return sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        return 0
