"""What `llama_server` is, and how it starts."""

from dataclasses import replace
from typing import ClassVar

from modelhub.runtimes.base import Instance
from modelhub.runtimes.llama import LlamaRuntime, Loading
from modelhub.runtimes.llama.pooling import reads_in_pieces
from modelhub.runtimes.llama_server.engine import Engine
from modelhub.runtimes.llama_server.instance import LlamaServerInstance
from modelhub.runtimes.llama_server.server import EngineSettings


class LlamaServerRuntime(LlamaRuntime):
    """llama.cpp's server engine."""

    name = "llama_server"
    distribution: ClassVar[str] = "xllamacpp"
    requires = ("xllamacpp",)
    install = 'pip install "modelhub[llama-server]"'
    priority = 10

    def start(self, loading: Loading) -> Instance:
        settings = EngineSettings(
            path=str(loading.files[0]),
            n_ctx=loading.n_ctx,
            n_batch=loading.n_batch,
            n_threads=loading.n_threads,
            pooling=loading.pooling,
        )
        if loading.pooling is not None and reads_in_pieces(loading.pooling):
            # Of the context of such a model the server keeps a token free for an answer.
            loading = replace(loading, n_ctx=loading.n_ctx - 1)
        return LlamaServerInstance(Engine.start(settings, loading.files), loading)
