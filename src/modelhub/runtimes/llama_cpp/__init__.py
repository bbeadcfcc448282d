"""llama.cpp by its Python binding, llama-cpp-python: the loop over tokens is ours.

GGUF files, on the CPU. The library is imported when a model is loaded, not before.
"""

from modelhub.runtimes.llama_cpp.runtime import LlamaCppRuntime

__all__ = ["LlamaCppRuntime"]
