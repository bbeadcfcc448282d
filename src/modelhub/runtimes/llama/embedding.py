"""Embeddings on llama.cpp, whichever binding it is called by."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

from modelhub.runtimes.embedding import cut, embed_result, normalizes, prompted, text_too_long
from modelhub.runtimes.llama.loading import Loading
from modelhub.runtimes.turn import Say
from modelhub.tasks import EmbedRequest

_TOGETHER = 8
"""Texts between two looks at the call."""


class Embedder(Protocol):
    """What of an engine is needed."""

    ends: bool
    """Whether its tokenizer puts a token of its own at the end of each text."""

    def tokenize(self, text: str) -> list[int]:
        """The tokens, with those that begin and end a text."""
        ...

    def vectors(self, texts: Sequence[Sequence[int]]) -> list[Any]:
        """The pooled vector of each text, as the model gives it."""
        ...


def embed(engine: Embedder, loading: Loading, request: EmbedRequest, say: Say) -> None:
    """Say the vectors of a request's texts.

    Raises:
        InvalidInput: for a prompt that there is not.
        ContextTooLong: for a text that does not fit, unless it may be cut.
    """
    details = loading.model.details
    most = details.get("max_input")
    limit = min(loading.n_ctx, most) if isinstance(most, int) else loading.n_ctx
    rows: list[list[int]] = []
    for index, text in enumerate(prompted(request, details)):
        if say(None):
            return
        tokens = engine.tokenize(text)
        if len(tokens) > limit and not request.truncate:
            raise text_too_long(index, len(tokens), limit)
        rows.append(cut(tokens, limit, ends=engine.ends))
    vectors: list[Any] = []
    waiting = iter(rows)
    while group := list(islice(waiting, _TOGETHER)):
        if say(None):
            return
        vectors += engine.vectors(group)
    say(embed_result(vectors, sum(map(len, rows)), normalize=normalizes(request, details)))
