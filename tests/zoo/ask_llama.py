"""Asks a GGUF file questions through llama.cpp's server engine: `python ask_llama.py MODEL QUESTIONS ANSWERS`.

A program of its own, because the engine takes over SIGINT and SIGTERM and writes to the process's own stderr.
QUESTIONS is a JSON list of message lists; ANSWERS becomes a JSON list of {"text", "finish_reason"}.
"""

import json
import sys
from pathlib import Path
from typing import Any

from xllamacpp import CommonParams, Server


def open_model(path: str) -> Server:
    """The engine with the model loaded, one conversation at a time."""
    params = CommonParams()
    params.model.path = path
    params.n_ctx = 1024
    params.n_parallel = 1
    params.cpuparams.n_threads = 1
    params.warmup = False
    params.verbosity = 0
    return Server(params)


def ask(server: Server, messages: list[dict[str, str]]) -> dict[str, Any]:
    """The greedy answer."""
    reply = server.handle_chat_completions({"messages": messages, "temperature": 0, "max_tokens": 512})
    choice = reply["choices"][0]
    return {"text": choice["message"]["content"], "finish_reason": choice["finish_reason"]}


def main(model: str, questions: str, answers: str) -> None:
    """Asks every question of the one file and writes what was said to the other."""
    server = open_model(model)
    asked = json.loads(Path(questions).read_text(encoding="utf-8"))
    Path(answers).write_text(json.dumps([ask(server, messages) for messages in asked]), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
