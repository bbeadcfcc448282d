"""Claim: in-process chat runs at ≥ 0.98 of the bare engine, one caller, same GGUF and sampling.

The bare engine is the very one that modelhub has loaded, asked directly in its own words: two engines
side by side differ by some percent in where their memory happens to lie, which is no overhead.

The model is a random one of about 300M parameters in the shape of a small Llama, written by this
script and kept in an ignored folder: on a model of a few megabytes every Python call would count.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import CACHE, Claim, arguments, interleave, note, ratio, report
from random_llama import write_random_llama

from modelhub import Hub
from modelhub.runtimes.llama_server import engine

PROMPT = "Tell me about " + "rivers and mountains and towns " * 5
TOKENS = 64


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (8 if options.quick else 25)
    path = CACHE / "llama-300m-q8_0.gguf"
    if not path.exists():
        note(f"writing {path.name}, once")
        write_random_llama(path)
    with tempfile.TemporaryDirectory() as home:
        return report([measure(path, home, rounds)], as_json=options.json)


def measure(path: Path, home: str, rounds: int) -> Claim:
    with loaded_servers() as servers, Hub(home=home, progress=False) as hub:
        hub_tokens(hub, path, PROMPT)
        # Each round asks something else, so that neither side lives off the prompt cache.
        turn = iter(range(1_000_000))

        def subject() -> float:
            return timed(lambda text: hub_tokens(hub, path, text), f"{next(turn)} {PROMPT}")

        def baseline() -> float:
            return timed(lambda text: bare_tokens(servers[0], text), f"{next(turn)} {PROMPT}")

        through, alone = interleave(subject, baseline, rounds, warmup=2)
        servers.clear()
    return ratio("llama_server in-process chat, one caller", through, alone, 0.98, "tokens/s")


def timed(ask: Callable[[str], int], text: str) -> float:
    began = time.perf_counter()
    count = ask(text)
    assert count == TOKENS, f"{count} tokens written, {TOKENS} expected"
    return count / (time.perf_counter() - began)


def hub_tokens(hub: Hub, path: Path, text: str) -> int:
    return hub.chat(path, text, max_tokens=TOKENS, temperature=0).usage.completion_tokens


@contextmanager
def loaded_servers() -> Iterator[list[Any]]:
    """The `xllamacpp.Server` objects that modelhub loads from here on."""
    servers: list[Any] = []
    start = engine.start_server

    def kept(*args: Any) -> Any:
        servers.append(start(*args))
        return servers[-1]

    engine.start_server = kept
    try:
        yield servers
    finally:
        engine.start_server = start
        servers.clear()


def bare_tokens(server: Any, text: str) -> int:
    done: list[Any] = []
    server.handle_chat_completions(
        {
            "messages": [{"role": "user", "content": text}],
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        },
        lambda chunk: done.append(chunk.get("usage")),
    )
    return int(next(usage for usage in reversed(done) if usage)["completion_tokens"])


if __name__ == "__main__":
    sys.exit(main())
