"""One model that the library has loaded, with one context. Not for several threads at a time.

The calls are those of `include/llama.h`.
"""

import ctypes
import logging
import os
import weakref
from collections import deque
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from modelhub.errors import EngineError, LoadFailed
from modelhub.runtimes.llama.files import read_ahead
from modelhub.runtimes.llama.grammar.thoughts import CLOSE, OPEN
from modelhub.runtimes.llama.loading import Loading
from modelhub.runtimes.llama.pooling import POOLING
from modelhub.runtimes.llama_cpp.library import errors_heard, library

log = logging.getLogger(__name__)

_FIRST_GUESS = 64
_MAX_PIECE = 1 << 16
_LAST = -1


class Engine:
    """A model, its tokenizer, and a context of `n_ctx` tokens."""

    def __init__(self, model: Any, context: Any, loading: Loading) -> None:
        lib = library()
        self._lib = lib
        self._context = context
        self._model = model
        self._memory = lib.llama_get_memory(context)
        self.vocabulary = lib.llama_model_get_vocab(model)
        self.n_ctx = loading.n_ctx
        self.n_batch = loading.n_batch
        self.width = int(lib.llama_model_n_embd_out(model))
        self.ends = bool(
            lib.llama_vocab_get_add_eos(self.vocabulary) or lib.llama_vocab_get_add_sep(self.vocabulary)
        )
        self._close = weakref.finalize(self, _free, lib, model, context, os.getpid())

    @classmethod
    def start(cls, loading: Loading) -> "Engine":
        """The model, loaded.

        Raises:
            LoadFailed: with the library's own words.
        """
        read_ahead(loading.files)
        lib, path = library(), loading.files[0]
        with errors_heard() as said:
            model = lib.llama_model_load_from_file(os.fsencode(path), _model_params(lib))
            if not model:
                raise _refused(path, said)
            context = lib.llama_init_from_model(model, _context_params(lib, loading))
            if not context:
                lib.llama_model_free(model)
                raise _refused(path, said)
        return cls(model, context, loading)

    def close(self) -> None:
        """Give the memory back. Safe to call twice."""
        self._close()

    def abandon(self) -> None:
        """Never give the memory back: a thread is in the library."""
        self._close.detach()

    # Texts and tokens

    @property
    def chat_template(self) -> str | None:
        """The Jinja template of the file, if it has one."""
        template = self._lib.llama_model_chat_template(self._model, None)
        return template.decode(errors="replace") if template else None

    def special(self, name: str) -> str:
        """The text of a special token, `bos` or `eos`; empty when there is none."""
        token = getattr(self._lib, f"llama_vocab_{name}")(self.vocabulary)
        return self.piece(token, special=True).decode(errors="replace") if token >= 0 else ""

    def tokenize(self, text: str, *, special: bool = True) -> list[int]:
        """Tokens, with those that begin and end a text if `special`. One that is written in the text
        itself is taken as such, as transformers and llama.cpp's server do.
        """
        said = text.encode()
        room = len(said) + 8
        for _ in range(2):
            tokens = (self._lib.llama_token * room)()
            count = self._lib.llama_tokenize(
                self.vocabulary, said, len(said), tokens, room, special, True
            )
            if count >= 0:
                return list(tokens[:count])
            room = -count
        raise EngineError("llama.cpp does not tokenize the text")

    def read_prompt(self, text: str) -> list[int]:
        """The tokens of a chat's prompt, with the one that begins a text where the template left it out
        and the tokenizer puts it there: so does llama.cpp's server.
        """
        tokens = self.tokenize(text, special=False)
        begin = self._lib.llama_vocab_bos(self.vocabulary)
        wanted = begin >= 0 and self._lib.llama_vocab_get_add_bos(self.vocabulary)
        return [begin, *tokens] if wanted and tokens[:1] != [begin] else tokens

    @cached_property
    def thought_marks(self) -> frozenset[int]:
        """The tokens that begin and end a thought, where each is one; they may be tokens of control."""
        found = (self.tokenize(mark, special=False) for mark in (OPEN, CLOSE))
        return frozenset(tokens[0] for tokens in found if len(tokens) == 1)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of a token's text: part of a character, maybe."""
        room = _FIRST_GUESS
        while room <= _MAX_PIECE:
            buffer = ctypes.create_string_buffer(room)
            size = self._lib.llama_token_to_piece(self.vocabulary, token, buffer, room, 0, special)
            if size >= 0:
                return bytes(buffer.raw[:size])
            room = max(-size, 2 * room)
        raise EngineError("llama.cpp does not say what a token is")

    def is_end(self, token: int) -> bool:
        """Whether the model has said all."""
        return bool(self._lib.llama_vocab_is_eog(self.vocabulary, token))

    # Computing

    def forget(self) -> None:
        """Begin anew, with nothing in the context."""
        if self._memory:
            self._lib.llama_memory_clear(self._memory, True)

    def decode(self, tokens: Sequence[int]) -> None:
        """Read at most `n_batch` tokens more.

        Raises:
            EngineError: when the library cannot.
        """
        row = (self._lib.llama_token * len(tokens))(*tokens)
        self._compute(self._lib.llama_decode, self._lib.llama_batch_get_one(row, len(tokens)))

    def sample(self, sampler: Any) -> int:
        """The next token."""
        return int(self._lib.llama_sampler_sample(sampler, self._context, _LAST))

    def logits(self) -> Any:
        """How likely each token of the vocabulary is to come next: a copy, float32."""
        import numpy as np

        count = self._lib.llama_vocab_n_tokens(self.vocabulary)
        found = self._lib.llama_get_logits_ith(self._context, _LAST)
        return np.ctypeslib.as_array(found, shape=(count,)).copy()

    def vectors(self, texts: Sequence[Sequence[int]]) -> list[Any]:
        """The pooled vector of each text, as the model gives it."""
        return [self._vector(text) for text in texts]

    def _vector(self, tokens: Sequence[int]) -> Any:
        import numpy as np

        self.forget()
        for begin in range(0, len(tokens), self.n_batch):
            self._read(tokens[begin : begin + self.n_batch], begin)
        found = self._lib.llama_get_embeddings_seq(self._context, 0)
        if not found:
            raise EngineError("llama.cpp failed: it has no vector for the text")
        return np.ctypeslib.as_array(found, shape=(self.width,)).copy()

    def _read(self, tokens: Sequence[int], begin: int) -> None:
        """Read a piece of a text that is embedded: all its tokens count."""
        batch = self._lib.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for at, token in enumerate(tokens):
                batch.token[at], batch.pos[at] = token, begin + at
                batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
                batch.logits[at] = True
            self._compute(self._lib.llama_decode if self._memory else self._lib.llama_encode, batch)
        finally:
            self._lib.llama_batch_free(batch)

    def _compute(self, step: Any, batch: Any) -> None:
        with errors_heard() as said:
            status = step(self._context, batch)
        if status != 0:
            raise EngineError(f"llama.cpp failed: {_last(said) or f'status {status}'}")


def _model_params(lib: Any) -> Any:
    params = lib.llama_model_default_params()
    params.n_gpu_layers = 0
    return params


def _context_params(lib: Any, loading: Loading) -> Any:
    params = lib.llama_context_default_params()
    params.n_ctx = loading.n_ctx
    params.n_batch = loading.n_batch
    params.n_ubatch = min(loading.n_batch, params.n_ubatch)
    params.swa_full = (
        False  # of a sliding window, as much as it sees: what was before is never asked for
    )
    params.no_perf = True
    if loading.n_threads is not None:
        params.n_threads = params.n_threads_batch = loading.n_threads
    if loading.pooling is not None:
        params.embeddings = True
        params.pooling_type = POOLING[loading.pooling]
        params.n_ubatch = loading.n_batch
    return params


def _refused(path: Path, said: "deque[str]") -> LoadFailed:
    why = _last(said) or "it does not say why"
    log.warning("load_failed", extra={"runtime_type": "llama_cpp", "reason": why})
    error = LoadFailed(
        f"llama.cpp could not load {path.name}: {why}",
        hint="A newer engine knows newer models: pip install --upgrade llama-cpp-python.",
    )
    error.__cause__ = RuntimeError("\n".join(said))
    return error


def _last(said: "deque[str]") -> str:
    """The first complaint: those that follow only say that it failed."""
    return said[0].rpartition("error loading model: ")[2][:300] if said else ""


def _free(lib: Any, model: Any, context: Any, pid: int) -> None:
    if os.getpid() == pid:  # a forked child has a copy, whose threads are not there to be ended
        lib.llama_free(context)
        lib.llama_model_free(model)
