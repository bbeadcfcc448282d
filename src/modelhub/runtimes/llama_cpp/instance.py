"""A model that llama-cpp-python has loaded, answering."""

import codecs
from collections.abc import Iterator

from modelhub.errors import LoadFailed
from modelhub.facts import Call
from modelhub.runtimes.base import Capabilities
from modelhub.runtimes.llama import Loading
from modelhub.runtimes.llama.bound import RESPONSE_FORMATS
from modelhub.runtimes.llama.context import prompt_too_long
from modelhub.runtimes.llama.embedding import embed
from modelhub.runtimes.llama.grammar import Thought, request_grammar
from modelhub.runtimes.llama_cpp.engine import Engine
from modelhub.runtimes.llama_cpp.prompt import Template
from modelhub.runtimes.llama_cpp.sampling import drawing
from modelhub.runtimes.serial import SerialInstance
from modelhub.runtimes.turn import Say
from modelhub.runtimes.writing import Writing
from modelhub.tasks import ChatChunk, ChatRequest, EmbedRequest, FinishReason, Request, Usage


class LlamaCppInstance(SerialInstance):
    """Chat, or embeddings."""

    engine = "llama.cpp"

    def __init__(self, engine: Engine, loading: Loading) -> None:
        embeds = loading.pooling is not None
        capabilities = Capabilities(streaming=not embeds, context_length=loading.n_ctx)
        kinds = (EmbedRequest,) if embeds else (ChatRequest,)
        super().__init__(capabilities, kinds, RESPONSE_FORMATS)
        self._engine = engine
        self._loading = loading
        try:
            self._template = None if embeds else Template(engine)
        except LoadFailed:
            engine.close()
            raise

    def work(self, request: Request, call: Call, say: Say) -> None:  # noqa: ARG002 - `say` looks at it
        if self._template is None:
            assert isinstance(request, EmbedRequest)
            embed(self._engine, self._loading, request, say)
            return
        assert isinstance(request, ChatRequest)
        prompt = self._template.prompt(request.messages)
        tokens = self._engine.read_prompt(prompt)
        if len(tokens) >= self._engine.n_ctx:
            raise prompt_too_long(len(tokens), self._engine.n_ctx)
        thought = Thought.after(prompt, thinks=self._loading.thinks)
        _Answer(self._engine, request, tokens, say, thought).write()

    def release(self) -> None:
        self._engine.close()

    def abandon(self) -> None:
        self._engine.abandon()


class _Answer:
    """One answer, token by token."""

    def __init__(
        self, engine: Engine, request: ChatRequest, prompt: list[int], say: Say, thought: Thought
    ) -> None:
        self._engine = engine
        self._request = request
        self._prompt = prompt
        self._say = say
        self._writing = Writing(request.stop, thinking=thought is Thought.BEGUN)
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._written = 0
        self._marks = engine.thought_marks
        self._grammar = request_grammar(request, thought)

    def write(self) -> None:
        """Say it all; ends early when nobody wants it."""
        if not self._read_prompt():
            return
        finish = FinishReason.LENGTH
        for token in self._tokens():
            if self._engine.is_end(token):
                finish = FinishReason.STOP
                break
            piece = self._engine.piece(token, special=token in self._marks)
            if self._tell(self._writing.feed(self._text.decode(piece))):
                return
            if self._writing.stopped:
                finish = FinishReason.STOP
                break
        rest = [*self._writing.feed(self._text.decode(b"", final=True)), *self._writing.end()]
        if not self._tell(iter(rest)):
            usage = Usage(prompt_tokens=len(self._prompt), completion_tokens=self._written)
            self._say(ChatChunk(finish_reason=finish, usage=usage))

    def _read_prompt(self) -> bool:
        """Whether the prompt is read; looks at the call between two batches."""
        self._engine.forget()
        step = self._engine.n_batch
        for begin in range(0, len(self._prompt), step):
            if self._say(None):
                return False
            self._engine.decode(self._prompt[begin : begin + step])
        return True

    def _tokens(self) -> Iterator[int]:
        """What the model writes, until the limit or the end of the context."""
        room = self._engine.n_ctx - len(self._prompt)
        most = min(room, self._request.max_tokens or room)
        with drawing(self._engine, self._request, self._grammar) as draw:
            while self._written < most:
                token = draw()
                self._written += 1
                yield token
                if self._written < most:
                    self._engine.decode([token])

    def _tell(self, chunks: Iterator[ChatChunk]) -> bool:
        """Give out what there is; whether nobody wants more. Where there is nothing, a sign of life."""
        told = list(chunks)
        return any(map(self._say, told)) if told else self._say(None)
