"""Asks a GGUF file for vectors through llama.cpp: `python ask_embedder.py ENGINE MODEL TEXTS VECTORS`.

A program of its own, because the engines write to the process's own stderr, and one takes over its signals.
ENGINE is `xllamacpp` or `llama_cpp`; TEXTS is a JSON list of texts; VECTORS becomes a JSON list of lists, one a text,
as the model gives them: of any length. Pooling is what the file says.
"""

import json
import sys
from pathlib import Path

CONTEXT = 128


def ask_xllamacpp(path: str, texts: list[str]) -> list[list[float]]:
    """The vectors, by the server's engine."""
    from xllamacpp import CommonParams, Server

    params = CommonParams()
    params.model.path = path
    params.embedding = True
    params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.verbosity = 0
    reply = Server(params).handle_embeddings({"input": texts, "embd_normalize": -1})
    return [row["embedding"] for row in sorted(reply["data"], key=lambda row: row["index"])]


def ask_llama_cpp(path: str, texts: list[str]) -> list[list[float]]:
    """The vectors, by the library."""
    from llama_cpp import Llama

    sizes = dict.fromkeys(("n_ctx", "n_batch", "n_ubatch"), CONTEXT)
    model = Llama(path, embedding=True, n_threads=1, n_threads_batch=1, verbose=False, **sizes)
    return [model.embed(text, normalize=False) for text in texts]


ENGINES = {"xllamacpp": ask_xllamacpp, "llama_cpp": ask_llama_cpp}


def main(engine: str, model: str, texts: str, vectors: str) -> None:
    """Asks for the vectors of the one file's texts and writes them to the other."""
    asked = json.loads(Path(texts).read_text(encoding="utf-8"))
    Path(vectors).write_text(json.dumps(ENGINES[engine](model, asked)), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
