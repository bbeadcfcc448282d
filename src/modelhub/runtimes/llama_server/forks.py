"""How a forked child ends whose parent has an engine.

The engine's threads exist only in the parent, but the library's own teardown waits for them at the
end of a child too: `os.fork()` and `sys.exit()` would hang or crash. So a child skips it. Python's
part of the end is not touched: `atexit`, `finally` and the flushing of files are all done by then. So does
a program whose engine is stuck.
"""

import ctypes
import functools
import os


@functools.cache
def end_children_early() -> None:
    """From now on let forked children end without the teardown of native libraries.

    Only where the C library has `on_exit`, which knows the exit code: glibc's, so Linux's.
    """
    if hasattr(ctypes.CDLL(None), "on_exit"):
        os.register_at_fork(after_in_child=end_early)


def end_early() -> None:
    """Let this process end without the teardown of native libraries, where there is `on_exit`."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "on_exit"):
        # Called in reverse order, both before whatever was registered until now.
        libc["on_exit"](libc["_exit"], None)
        libc["__cxa_atexit"](libc["fflush"], None, None)
