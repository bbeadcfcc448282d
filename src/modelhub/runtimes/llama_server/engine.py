"""One llama.cpp server engine with its model: started, held, stopped.

The library is https://github.com/xorbitsai/xllamacpp. Three of its habits are dealt with here: it
may install signal handlers for the whole process, it always listens on an address, and it keeps
the interpreter lock from the first to the last moment of a load.
"""

import ctypes
import logging
import os
import shutil
import stat
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.errors import LoadFailed
from modelhub.runtimes.signals import kept_handlers

log = logging.getLogger(__name__)

Callback = Callable[[Any], bool]
"""Gets each message of the engine; true stops it."""

QUIET = -1
"""The engine's log level at which it prints nothing; it is the same for all engines of a process."""

_SOCKET = "engine.sock"
_LONGEST_SOCKET_PATH = 100
"""Bytes; systems allow 103 (macOS) to 107 (Linux)."""

_PIECE = 8 << 20

_one_start_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is started with. `n_threads` `None` leaves it to llama.cpp."""

    path: str
    n_ctx: int
    n_batch: int
    n_threads: int | None


class Engine:
    """A running engine. Close it when no `ask` is under way."""

    def __init__(self, held: list[Any], folder: Path) -> None:
        self._held = held  # the only reference to the server: the engine stops when it goes
        self._socket = folder / _SOCKET
        # At the end of the program too: an engine whose threads outlive the interpreter may crash it.
        self._stop = weakref.finalize(self, _stop, held, folder, os.getpid())

    @classmethod
    def start(cls, settings: EngineSettings, files: Iterable[Path]) -> "Engine":
        """An engine with the model of `settings` loaded; `files` are all its files.

        Raises:
            LoadFailed: with the engine's own words where it can be made to say them.
        """
        read_ahead(files)
        folder = socket_folder()
        try:
            with _one_start_at_a_time, kept_handlers():
                held = [start_server(settings, folder)]
        except BaseException as error:
            shutil.rmtree(folder)
            if isinstance(error, Exception):
                raise _load_failed(settings, error) from error
            raise
        engine = cls(held, folder)
        engine.check_socket()
        return engine

    def ask(self, payload: Mapping[str, Any], callback: Callback) -> None:
        """Chat. Blocks until the answer is whole or the callback stops it.

        Raises:
            RuntimeError: for a payload that is not JSON.
        """
        self._held[0].handle_chat_completions(payload, callback)

    def check_socket(self) -> None:
        """Make sure that the engine listens where it was told to: anybody may talk to a TCP port.

        Raises:
            LoadFailed: when it does not; it is stopped then.
        """
        address = self._held[0].listening_address
        there = self._socket.exists() and stat.S_ISSOCK(self._socket.stat().st_mode)
        if there and address.endswith(str(self._socket)):
            return
        self.close()
        raise LoadFailed(
            f"the engine listens on {address}, not on its private socket",
            hint="Another version of xllamacpp may do better: pip install --upgrade xllamacpp.",
        )

    def close(self) -> None:
        """Stop the engine and give its memory back. Safe to call twice."""
        self._stop()


def start_server(settings: EngineSettings, folder: Path, verbosity: int = QUIET) -> Any:
    """A running `xllamacpp.Server` that listens in `folder` and nowhere else.

    Raises:
        RuntimeError: when the engine cannot load the model.
    """
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = settings.path
    params.n_ctx = settings.n_ctx
    params.n_batch = settings.n_batch
    params.n_ubatch = min(settings.n_batch, params.n_ubatch)
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.fit_params = False  # else it would shorten n_ctx by what it believes of the memory
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts beside the context
    params.use_jinja = True
    params.warmup = False
    params.offline = True
    params.verbosity = verbosity
    if settings.n_threads is not None:
        params.cpuparams.n_threads = settings.n_threads
        params.cpuparams_batch.n_threads = settings.n_threads
    params.hostnames = [str(folder / _SOCKET)]
    params.n_threads_http = 1
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.endpoint_metrics = True
    server = Server(params)
    # Answered by the engine's loop, so it runs from here on. Let go before that, it would never end.
    server.handle_metrics()
    return server


def socket_folder() -> Path:
    """A new folder that only this user can enter, with a path short enough for a socket in it."""
    folder = Path(tempfile.mkdtemp(prefix="modelhub-"))
    if len(os.fsencode(folder / _SOCKET)) > _LONGEST_SOCKET_PATH:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="modelhub-", dir="/tmp"))
    return folder


def read_ahead(files: Iterable[Path]) -> None:
    """Bring the files into the page cache.

    The engine would read them too, but with the interpreter locked: no other thread of the program
    would run, and no Ctrl-C be heard, for as long as the disk takes.
    """
    buffer = bytearray(_PIECE)
    for file in files:
        with file.open("rb", buffering=0) as opened:
            while opened.readinto(buffer):
                pass


def _stop(held: list[Any], folder: Path, pid: int) -> None:
    if os.getpid() != pid:
        # After a fork the engine's threads exist only in the parent, and so does the right to stop it.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(held[0]))
        return
    held.clear()
    shutil.rmtree(folder, ignore_errors=True)


def _load_failed(settings: EngineSettings, error: Exception) -> LoadFailed:
    from modelhub.runtimes.llama_server.reason import ask_why

    # A RuntimeError of the engine says only that it failed.
    why = (isinstance(error, RuntimeError) and ask_why(settings)) or f"{error}"
    log.warning("load_failed", extra={"runtime_type": "llama_server", "reason": why})
    return LoadFailed(
        f"llama.cpp could not load {Path(settings.path).name}: {why}",
        hint="A newer engine knows newer models: pip install --upgrade xllamacpp.",
    )
