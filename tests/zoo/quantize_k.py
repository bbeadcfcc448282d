"""Makes the K-quantized file, which only llama.cpp's own quantizer can: `python -m tests.zoo.quantize_k`.

Needs `pip install llama-cpp-python`, which compiles for some minutes; so its product is committed.
"""

import ctypes
import tempfile
from pathlib import Path

import llama_cpp

from .gguf_writer import write_gguf
from .repos import COMMITTED_GGUF, REPOSITORY


def quantize(source: Path, target: Path, name: str = "Q4_K_M") -> None:
    """The source's tensors as one of llama.cpp's mixtures, such as q4_k, and q6_k where it matters most.

    Raises:
        RuntimeError: llama.cpp refused; what it had to say about it is on stderr.
    """
    silent = llama_cpp.llama_log_callback(lambda _level, _text, _data: None)
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{name}")
    params.nthread = 1
    paths = (str(source).encode(), str(target).encode())
    status = llama_cpp.llama_model_quantize(*paths, ctypes.byref(params))
    if status != 0:
        raise RuntimeError(f"llama.cpp could not quantize {source}: status {status}")


def main() -> None:
    """Writes the committed file anew from the committed weights."""
    with tempfile.TemporaryDirectory() as folder:
        (source,) = write_gguf(REPOSITORY, Path(folder) / "f16.gguf", "f16")
        quantize(source, COMMITTED_GGUF / "zoo-chat-q4_k_m.gguf")


if __name__ == "__main__":
    main()
