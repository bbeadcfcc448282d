"""llama.cpp's library, quiet, with what it has to say about errors kept.

The library writes its log to standard error unless it is given a function for it, one for the whole
process. Source: `llama_log_set` in `include/llama.h`.
"""

import ctypes
import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

log = logging.getLogger(__name__)

_ERROR = 4
_LINES = 50

_heard = threading.local()


@cache
def library() -> Any:
    """The module `llama_cpp`, its log taken over. Imported here and nowhere else."""
    import llama_cpp

    callback = llama_cpp.llama_log_callback(_hear)
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    llama_cpp.llama_backend_init()
    _kept.append(callback)  # the library holds a pointer to it
    return llama_cpp


_kept: list[Any] = []


def _hear(level: int, text: bytes, _: Any) -> None:
    """Called by the library in whatever thread it speaks; it must not raise."""
    line = text.decode(errors="replace").strip()
    if level == _ERROR and line:
        lines: deque[str] | None = getattr(_heard, "lines", None)
        if lines is not None:
            lines.append(line)
        log.debug("llama_cpp_said", extra={"line": line[:300]})


@contextmanager
def errors_heard() -> Iterator["deque[str]"]:
    """What the library says about errors in this thread during the block."""
    _heard.lines = deque(maxlen=_LINES)
    try:
        yield _heard.lines
    finally:
        _heard.lines = None
