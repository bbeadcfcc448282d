"""One llama.cpp server engine with its model: started, held, stopped.

Three of the library's habits are dealt with here: it may install signal handlers for the whole
process, it always listens on an address, and it keeps the interpreter lock from the first to the
last moment of a load.
"""

import ctypes
import logging
import os
import stat
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from modelhub.errors import LoadFailed
from modelhub.runtimes.llama.files import read_ahead
from modelhub.runtimes.llama_server.folder import SOCKET, SocketFolder
from modelhub.runtimes.llama_server.forks import end_children_early, end_early
from modelhub.runtimes.llama_server.reason import ask_why
from modelhub.runtimes.llama_server.server import EngineSettings, start_server
from modelhub.runtimes.signals import kept_handlers

log = logging.getLogger(__name__)

Callback = Callable[[Any], bool]
"""Gets each message of the engine; true stops it."""

_one_start_at_a_time = threading.Lock()


class Engine:
    """A running engine. Close it when no `ask` is under way."""

    def __init__(self, held: list[Any], folder: SocketFolder) -> None:
        self._held = held  # the only reference to the server: the engine stops when it goes
        self.socket = folder.path / SOCKET
        # At the end of the program too: an engine whose threads outlive the interpreter may crash it.
        self._stop = weakref.finalize(self, _stop, held, folder, os.getpid())

    @classmethod
    def start(cls, settings: EngineSettings, files: Iterable[Path]) -> "Engine":
        """An engine with the model of `settings` loaded; `files` are all its files.

        Raises:
            LoadFailed: with the engine's own words where it can be made to say them.
        """
        read_ahead(files)
        end_children_early()
        folder = SocketFolder()
        try:
            with _one_start_at_a_time, kept_handlers():
                held = [start_server(settings, folder.path)]
        except BaseException as error:
            folder.remove()
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

    def complete(self, payload: Mapping[str, Any], callback: Callback) -> None:
        """Go on with a text. Blocks as `ask` does."""
        self._held[0].handle_completions(payload, callback)

    def embed(self, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        """Embed. Blocks until all vectors are there."""
        answer: Mapping[str, Any] = self._held[0].handle_embeddings(dict(payload))
        return answer

    def check_socket(self) -> None:
        """Make sure that the engine listens where it was told to: anybody may talk to a TCP port.

        Raises:
            LoadFailed: when it does not; it is stopped then.
        """
        address = self._held[0].listening_address
        there = self.socket.exists() and stat.S_ISSOCK(self.socket.stat().st_mode)
        if there and address.endswith(str(self.socket)):
            return
        self.close()
        raise LoadFailed(
            f"the engine listens on {address}, not on its private socket",
            hint="Another version of xllamacpp may do better: pip install --upgrade xllamacpp.",
        )

    def close(self) -> None:
        """Stop the engine and give its memory back. Safe to call twice."""
        self._stop()

    def abandon(self) -> None:
        """Never stop it: it does not come to an end, and its own end would wait for that."""
        if self._stop.detach() is not None:
            _keep(self._held)
            end_early()


def _stop(held: list[Any], folder: SocketFolder, pid: int) -> None:
    if os.getpid() != pid:
        # After a fork the engine's threads exist only in the parent, and so does the right to stop it.
        _keep(held)
        return
    held.clear()
    folder.remove()


def _keep(held: list[Any]) -> None:
    """Whatever happens, the server is never let go."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held[0]))


def _load_failed(settings: EngineSettings, error: Exception) -> LoadFailed:
    # A RuntimeError of the engine says only that it failed.
    why = (isinstance(error, RuntimeError) and ask_why(settings)) or f"{error}"
    log.warning("load_failed", extra={"runtime_type": "llama_server", "reason": why})
    return LoadFailed(
        f"llama.cpp could not load {Path(settings.path).name}: {why}",
        hint="A newer engine knows newer models: pip install --upgrade xllamacpp.",
    )
