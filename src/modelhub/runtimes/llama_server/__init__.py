"""llama.cpp's own server engine, inside this process, by the `xllamacpp` wheel.

GGUF files, on the CPU. The engine's library is imported when a model is loaded, not before.
"""

from modelhub.runtimes.llama_server.runtime import LlamaServerRuntime

__all__ = ["LlamaServerRuntime"]
