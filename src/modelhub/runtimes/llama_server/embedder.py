"""The engine as an embedder. Its tokenizer is asked over its own private socket: the binding has no call
for it.
"""

import http.client
import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modelhub.errors import EngineError
from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.wire import read_error

_PATIENCE = 60.0


class ServerEmbedder:
    """Fits `llama.embedding.Embedder`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.ends = self._adds_an_end()

    def _adds_an_end(self) -> bool:
        plain, whole = self._tokens("a", special=False), self._tokens("a", special=True)
        return whole[-1:] != plain[-1:]

    def tokenize(self, text: str) -> list[int]:
        return self._tokens(text, special=True)

    def _tokens(self, text: str, *, special: bool) -> list[int]:
        connection = _Connection(self._engine.socket)
        try:
            body = json.dumps({"content": text, "add_special": special})
            connection.request("POST", "/tokenize", body, {"Content-Type": "application/json"})
            answer = json.load(connection.getresponse())
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EngineError(f"llama.cpp does not tokenize: {error}") from error
        finally:
            connection.close()
        if "tokens" not in answer:
            raise read_error(answer.get("error", {}))
        return [int(token) for token in answer["tokens"]]

    def vectors(self, texts: Sequence[Sequence[int]]) -> list[Any]:
        answer = self._engine.embed({"input": [list(text) for text in texts], "embd_normalize": -1})
        if "error" in answer:
            raise read_error(answer["error"])
        return [row["embedding"] for row in sorted(answer["data"], key=lambda row: int(row["index"]))]


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket file."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
