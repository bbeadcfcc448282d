"""What `llama_cpp` is, and how it starts."""

from typing import ClassVar

from modelhub.runtimes.base import Instance
from modelhub.runtimes.llama import LlamaRuntime, Loading
from modelhub.runtimes.llama_cpp.engine import Engine
from modelhub.runtimes.llama_cpp.instance import LlamaCppInstance


class LlamaCppRuntime(LlamaRuntime):
    """llama-cpp-python, https://github.com/abetlen/llama-cpp-python."""

    name = "llama_cpp"
    distribution: ClassVar[str] = "llama-cpp-python"
    requires = ("llama_cpp",)
    install = 'pip install "modelhub[llama]"'
    priority = 5

    def start(self, loading: Loading) -> Instance:
        return LlamaCppInstance(Engine.start(loading), loading)
