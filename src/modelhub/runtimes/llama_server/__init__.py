"""llama.cpp's own server engine, inside this process, by the `xllamacpp` wheel.

GGUF files, on the CPU. The engine's library is imported when a model is loaded, not before.

A forked child cannot use a model that its parent loaded: the engine's threads stay in the parent. It
may end as it likes (on Linux with glibc; elsewhere with `os._exit`).
"""

from modelhub.runtimes.llama_server.runtime import LlamaServerRuntime

__all__ = ["LlamaServerRuntime"]
