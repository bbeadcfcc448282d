"""An answer held to a grammar, token by token."""

import ctypes
from collections.abc import Sequence
from typing import Any

from modelhub.errors import EngineError, InvalidInput
from modelhub.runtimes.llama_cpp.engine import Engine
from modelhub.runtimes.llama_cpp.library import errors_heard, library


class Grammar:
    """How far an answer has come in a grammar (GBNF).

    The library ends the process when it is told of a token that does not fit, so it is only told of
    those that do. To look at one token is quick, at all of them slow: as llama.cpp's own programs do,
    a token is drawn as if there were no grammar, and again among those that fit if it does not
    (`common/sampling.cpp: common_sampler_sample`).
    """

    def __init__(self, engine: Engine, text: str) -> None:
        self._engine = engine
        self._lib = library()
        with errors_heard() as said:
            self._state = self._lib.llama_sampler_init_grammar(engine.vocabulary, text.encode(), b"root")
        if not self._state:
            raise InvalidInput(
                f"response_format: llama.cpp cannot bind an answer by it: {' '.join(said)[:300]}",
                hint="Take a simpler schema.",
                field="response_format",
            )

    def draw(self, chain: Any) -> int:
        """The next token by a chain of samplers.

        Raises:
            EngineError: when no token of the vocabulary fits.
        """
        token = self._engine.sample(chain)
        if not self.allows(token):
            token = self._draw_among_those_that_fit(chain)
        if not self._engine.is_end(token):
            self._lib.llama_sampler_accept(self._state, token)
        return token

    def allows(self, token: int) -> bool:
        """Whether it may come next."""
        table, tokens = self._table([token], [0.0])
        self._lib.llama_sampler_apply(self._state, ctypes.byref(table))
        return bool(tokens["logit"][0] == 0)

    def _draw_among_those_that_fit(self, chain: Any) -> int:
        logits = self._engine.logits()
        table, tokens = self._table(range(len(logits)), logits)
        self._lib.llama_sampler_apply(self._state, ctypes.byref(table))
        if tokens["logit"].max() == float("-inf"):
            raise EngineError("llama.cpp failed: no token of the model goes on with the JSON")
        self._lib.llama_sampler_apply(chain, ctypes.byref(table))
        return int(table.data[table.selected].id)

    def _table(self, tokens: Sequence[int], logits: Any) -> tuple[Any, Any]:
        """Tokens as the library's samplers take them, and the array that holds them: keep both."""
        import numpy as np

        rows = np.zeros(len(tokens), dtype=[("id", "i4"), ("logit", "f4"), ("p", "f4")])
        rows["id"], rows["logit"] = tokens, logits
        data = rows.ctypes.data_as(ctypes.POINTER(self._lib.llama_token_data))
        return self._lib.llama_token_data_array(data, len(rows), -1, False), rows

    def close(self) -> None:
        """Give its memory back."""
        self._lib.llama_sampler_free(self._state)
