"""What the binding has no call for, asked over the engine's own private socket."""

import http.client
import json
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modelhub.errors import EngineError
from modelhub.runtimes.llama_server.wire import read_error

_PATIENCE = 60.0


def post(engine: Path, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the engine that listens at the socket `engine` answers.

    Raises:
        InvalidInput, EngineError: what it said went wrong.
    """
    connection = _Connection(engine)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        answer: Mapping[str, Any] = json.load(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise EngineError(f"llama.cpp does not answer {path}: {error}") from error
    finally:
        connection.close()
    if "error" in answer:
        raise read_error(answer["error"])
    return answer


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
