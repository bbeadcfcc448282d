"""How the engine's library is called: `xllamacpp`, https://github.com/xorbitsai/xllamacpp."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelhub.runtimes.llama.pooling import POOLING
from modelhub.runtimes.llama_server.folder import SOCKET

QUIET = -1
"""The engine's log level at which it prints nothing; it is the same for all engines of a process."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is started with. `n_threads` `None` leaves it to llama.cpp; with a `pooling` it
    embeds, and does not write.
    """

    path: str
    n_ctx: int
    n_batch: int
    n_threads: int | None
    pooling: str | None = None


def start_server(settings: EngineSettings, folder: Path, verbosity: int = QUIET) -> Any:
    """A running `xllamacpp.Server` that listens in `folder` and nowhere else.

    Raises:
        RuntimeError: when the engine cannot load the model.
    """
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = settings.path
    params.n_ctx = settings.n_ctx
    params.n_batch = settings.n_batch
    params.n_ubatch = min(settings.n_batch, params.n_ubatch)
    if settings.pooling is not None:
        params.embedding = True
        params.pooling_type = POOLING[settings.pooling]
        params.n_ubatch = settings.n_batch
    params.n_parallel = 1
    params.n_gpu_layers = 0
    params.fit_params = False  # else it would shorten n_ctx by what it believes of the memory
    params.cache_ram_mib = 0  # else up to 8 GiB of old prompts beside the context
    params.use_jinja = True
    params.warmup = False
    params.offline = True
    params.verbosity = verbosity
    if settings.n_threads is not None:
        params.cpuparams.n_threads = settings.n_threads
        params.cpuparams_batch.n_threads = settings.n_threads
    params.hostnames = [str(folder / SOCKET)]
    params.n_threads_http = 1
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.endpoint_metrics = True
    server = Server(params)
    # Answered by the engine's loop, so it runs from here on. Let go before that, it would never end.
    server.handle_metrics()
    return server
