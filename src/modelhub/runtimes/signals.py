"""Keep an engine from taking Ctrl-C away.

Some engines were programs once, and install their own handlers for SIGINT and SIGTERM when they
start. `signal.signal` could put Python's back from the main thread alone; the C library's
`sigaction` can from any, and restores what was there to the byte.
"""

import ctypes
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ROOM = 1024
"""Bytes, several times what `struct sigaction` takes on any system."""


@contextmanager
def kept_handlers() -> Iterator[None]:
    """Put the handlers of SIGINT and SIGTERM back as they were. Works in any thread.

    Two threads must not do this at the same time, or one would restore what the other's engine
    installed.
    """
    before = [(number, _current(number)) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, action in before:
            _sigaction(number, action, None)


def _current(number: int) -> ctypes.Array[ctypes.c_char]:
    action = ctypes.create_string_buffer(_ROOM)
    _sigaction(number, None, action)
    return action


def _sigaction(
    number: int, new: ctypes.Array[ctypes.c_char] | None, old: ctypes.Array[ctypes.c_char] | None
) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.sigaction(int(number), new, old) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), f"sigaction({number})")
