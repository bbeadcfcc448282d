"""The engine as an embedder."""

from collections.abc import Sequence
from typing import Any

from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.private import post
from modelhub.runtimes.llama_server.wire import read_error


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
        answer = post(self._engine.socket, "/tokenize", {"content": text, "add_special": special})
        return [int(token) for token in answer["tokens"]]

    def vectors(self, texts: Sequence[Sequence[int]]) -> list[Any]:
        answer = self._engine.embed({"input": [list(text) for text in texts], "embd_normalize": -1})
        if "error" in answer:
            raise read_error(answer["error"])
        return [row["embedding"] for row in sorted(answer["data"], key=lambda row: int(row["index"]))]
