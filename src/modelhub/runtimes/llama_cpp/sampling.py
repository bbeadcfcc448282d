"""How the next token is drawn: llama.cpp's own samplers, in the order and with the defaults of its
programs (`common/common.h`: `common_params_sampling`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.runtimes.llama_cpp.engine import Engine
from modelhub.runtimes.llama_cpp.library import library
from modelhub.tasks import ChatRequest

TOP_K = 40
TOP_P = 0.95
MIN_P = 0.05
TEMPERATURE = 0.8
ANY_SEED = (1 << 32) - 1
_MOST = (1 << 31) - 1


@contextmanager
def sampler(engine: Engine, request: ChatRequest, grammar: str | None = None) -> Iterator[Any]:
    """A chain of samplers for one answer; `grammar` (GBNF) bounds what can be written."""
    lib = library()
    chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
    try:
        if grammar is not None:
            bound = lib.llama_sampler_init_grammar(engine.vocabulary, grammar.encode(), b"root")
            lib.llama_sampler_chain_add(chain, bound)
        for link in _links(lib, request):
            lib.llama_sampler_chain_add(chain, link)
        yield chain
    finally:
        lib.llama_sampler_free(chain)


def _links(lib: Any, request: ChatRequest) -> Iterator[Any]:
    temperature = TEMPERATURE if request.temperature is None else request.temperature
    if temperature == 0:
        yield lib.llama_sampler_init_greedy()
        return
    yield lib.llama_sampler_init_top_k(min(TOP_K if request.top_k is None else request.top_k, _MOST))
    yield lib.llama_sampler_init_top_p(TOP_P if request.top_p is None else request.top_p, 1)
    yield lib.llama_sampler_init_min_p(MIN_P, 1)
    yield lib.llama_sampler_init_temp(temperature)
    yield lib.llama_sampler_init_dist(ANY_SEED if request.seed is None else request.seed)
