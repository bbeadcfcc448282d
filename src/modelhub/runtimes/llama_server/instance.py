"""A model that llama.cpp has loaded, answering."""

from collections.abc import Mapping
from typing import Any

from modelhub.errors import ModelHubError
from modelhub.facts import Call
from modelhub.runtimes.base import Capabilities
from modelhub.runtimes.llama import Loading
from modelhub.runtimes.llama.bound import RESPONSE_FORMATS
from modelhub.runtimes.llama.embedding import embed
from modelhub.runtimes.llama_server.embedder import ServerEmbedder
from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.wire import payload, read_piece
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.turn import Say
from modelhub.tasks import ChatChunk, ChatRequest, EmbedRequest, FinishReason, Request, Usage


class LlamaServerInstance(SerialInstance):
    """Chat, or embeddings. Every chat is streamed from the engine, because only a stream can be stopped."""

    engine = "llama.cpp"

    def __init__(self, engine: Engine, loading: Loading) -> None:
        embeds = loading.pooling is not None
        capabilities = Capabilities(streaming=not embeds, context_length=loading.n_ctx)
        kinds = (EmbedRequest,) if embeds else (ChatRequest,)
        super().__init__(capabilities, kinds, RESPONSE_FORMATS)
        self._engine = engine
        self._loading = loading
        self._embedder = ServerEmbedder(engine) if embeds else None

    def work(self, request: Request, call: Call, say: Say) -> None:  # noqa: ARG002 - `say` looks at it
        if self._embedder is not None:
            assert isinstance(request, EmbedRequest)
            embed(self._embedder, self._loading, request, say)
            return
        assert isinstance(request, ChatRequest)
        answer = _Answer(say)
        self._engine.ask(payload(request), answer.hear)
        answer.end()

    def release(self) -> None:
        self._engine.close()


class _Answer:
    """What the engine says, as chunks."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._error: ModelHubError | None = None
        self._finish = FinishReason.STOP
        self._usage: Usage | None = None

    def hear(self, message: Mapping[str, Any]) -> bool:
        """The engine's callback, which must not raise: the binding would drop it and go on."""
        try:
            piece = read_piece(message)
        except ModelHubError as error:
            self._error = error
            return True
        self._finish, self._usage = piece.finish or self._finish, piece.usage or self._usage
        said = piece.text or piece.reasoning
        return self._say(ChatChunk(text=piece.text, reasoning=piece.reasoning) if said else None)

    def end(self) -> None:
        """The engine is done.

        Raises:
            ModelHubError: what it said went wrong.
        """
        if self._error is not None:
            raise self._error
        if self._usage is not None:
            self._say(ChatChunk(finish_reason=self._finish, usage=self._usage))
