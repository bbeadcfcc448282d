"""What llama.cpp would let a model write by a grammar, asked letter by letter."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from modelhub.runtimes.llama_cpp import LlamaCppRuntime
from modelhub.runtimes.testing import Subject
from tests.runtimes.random_gguf import SPECIAL, write_random_gguf
from tests.runtimes.zoo import bundle

END = 2
"""The token that ends an answer."""

Accepts = Callable[[str, str], bool]


@pytest.fixture(scope="module")
def accepts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Accepts]:
    """Whether a model may write exactly this text by a grammar."""
    from modelhub.runtimes.llama_cpp.bound import Grammar

    path = write_random_gguf(tmp_path_factory.mktemp("bytes") / "bytes.gguf", context=256)
    loaded: Any = Subject(LlamaCppRuntime(), bundle(path.parent, path.name), {"n_threads": 1}).load()

    def accept(grammar: str, text: str) -> bool:
        state = Grammar(loaded._engine, grammar)
        try:
            for byte in text.encode():
                if not state.allows(len(SPECIAL) + byte):
                    return False
                state._lib.llama_sampler_accept(state._state, len(SPECIAL) + byte)
            return state.allows(END)
        finally:
            state.close()

    yield accept
    loaded.close()
