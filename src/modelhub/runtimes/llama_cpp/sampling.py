"""How the next token is drawn: llama.cpp's own samplers, in the order and with the defaults of its
programs (`common/common.h`: `common_params_sampling`).
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

from modelhub.runtimes.llama_cpp.bound import Grammar
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
def drawing(engine: Engine, request: ChatRequest, grammar: str | None) -> Iterator[Callable[[], int]]:
    """What gives the next token of one answer; `grammar` (GBNF) bounds what can be written.

    Raises:
        InvalidInput: for a grammar that llama.cpp does not take.
    """
    lib = library()
    with ExitStack() as stack:
        chain = lib.llama_sampler_chain_init(lib.llama_sampler_chain_default_params())
        stack.callback(lib.llama_sampler_free, chain)
        for link in _links(lib, request):
            lib.llama_sampler_chain_add(chain, link)
        if grammar is None:
            yield partial(engine.sample, chain)
        else:
            bound = stack.enter_context(closing(Grammar(engine, grammar)))
            yield partial(bound.draw, chain)


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
