"""What the runtimes on llama.cpp share, whichever binding they use: files, options, memory, limits."""

from modelhub.runtimes.llama.loading import Loading
from modelhub.runtimes.llama.runtime import LlamaRuntime

__all__ = ["LlamaRuntime", "Loading"]
