"""A model that llama.cpp has loaded, answering."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelhub.errors import ModelHubError
from modelhub.facts import Call, JsonDict
from modelhub.runtimes.base import Capabilities
from modelhub.runtimes.llama import Loading
from modelhub.runtimes.llama.bound import RESPONSE_FORMATS
from modelhub.runtimes.llama.embedding import embed
from modelhub.runtimes.llama.grammar import Thought, grammar_of
from modelhub.runtimes.llama_server.embedder import ServerEmbedder
from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.private import post
from modelhub.runtimes.llama_server.wire import bound_payload, payload, read_piece, turns
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.turn import Say
from modelhub.runtimes.writing import Writing
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
        wanted = request.response_format
        schema = None if wanted is None else wanted.bound
        if schema is None:
            answer = _Answer(say)
            self._engine.ask(payload(request), answer.hear)
        else:
            answer = self._write_bound(request, schema, say)
        answer.end()

    def _write_bound(self, request: ChatRequest, schema: JsonDict, say: Say) -> "_Answer":
        """By our own grammar, which the engine takes for a text only: its chats have one for each model's
        way to think, and read the answer by that.
        """
        messages = {"messages": turns(request.messages)}
        prompt = str(post(self._engine.socket, "/apply-template", messages)["prompt"])
        thought = Thought.after(prompt, thinks=self._loading.thinks)
        answer = _Answer(say, Writing(thinking=thought is Thought.BEGUN))
        self._engine.complete(bound_payload(request, prompt, grammar_of(schema, thought)), answer.hear)
        return answer

    def release(self) -> None:
        self._engine.close()

    def abandon(self) -> None:
        self._engine.abandon()


class _Answer:
    """What the engine says, as chunks: thoughts are told apart by the engine, or by a `writing`."""

    def __init__(self, say: Say, writing: Writing | None = None) -> None:
        self._say = say
        self._writing = writing
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
        if self._writing is not None:
            return self._tell(self._writing.feed(piece.text))
        said = piece.text or piece.reasoning
        return self._say(ChatChunk(text=piece.text, reasoning=piece.reasoning) if said else None)

    def _tell(self, chunks: Iterator[ChatChunk]) -> bool:
        told = list(chunks)
        return any(map(self._say, told)) if told else self._say(None)

    def end(self) -> None:
        """The engine is done.

        Raises:
            ModelHubError: what it said went wrong.
        """
        if self._error is not None:
            raise self._error
        if self._usage is not None:
            self._tell(self._writing.end() if self._writing is not None else iter(()))
            self._say(ChatChunk(finish_reason=self._finish, usage=self._usage))
