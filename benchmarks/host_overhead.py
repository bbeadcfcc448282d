"""Claims: what the process host adds to a call, beside the thread host in the same run.

- a call without arrays: at most 0.3 ms more (the echo, and the tests' chat model on llama_server);
- a streamed chunk: at most 100 µs more, at the pace of a reader who does nothing else;
- arrays above 1 MiB: at least 1 GB/s, that is at most 1 ms more for a megabyte (a float32 image of
  640×640 goes there and comes back).

Each value is the difference of two measurements of one round, process minus thread.
"""

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))

import numpy as np  # noqa: E402 - what the benchmark needs lies two folders apart
from harness import Claim, absolute, arguments, interleave, note, report  # noqa: E402
from mirror_runtime import ImageRequest, MirrorRuntime  # noqa: E402
from tests.runtimes.zoo import chat_bundle  # noqa: E402

from modelhub.facts import Call  # noqa: E402
from modelhub.runtimes import Bundle, Instance, Runtime, SharedParts, find_device  # noqa: E402
from modelhub.runtimes.echo import EchoRuntime  # noqa: E402
from modelhub.runtimes.hosts import Host, Order, ProcessHost, ThreadHost  # noqa: E402
from modelhub.runtimes.llama_server import LlamaServerRuntime  # noqa: E402
from modelhub.tasks import ChatRequest, chat_request  # noqa: E402

CALLS = 50
WORDS = 1000
IMAGES = 10

Pair = tuple[Instance, Instance]


def main() -> int:
    options = arguments(__doc__)
    rounds = options.rounds or (15 if options.quick else 60)
    return report(measure(rounds), as_json=options.json)


def measure(rounds: int) -> Iterator[Claim]:
    bundle = chat_bundle()
    with both(EchoRuntime(), bundle) as echo:
        note("echo: calls")
        hello = chat_request("hello")
        yield absolute("a call of the echo", differences(echo, calls(hello), rounds), 0.3, "ms more")
        note("echo: chunks")
        words = chat_request("word " * WORDS)
        per_chunk = [ms * 1000 for ms in differences(echo, chunks(words, WORDS), rounds)]
        yield absolute("a streamed chunk of the echo", per_chunk, 100, "µs more")
    # One thread: several would spin against those of the other host.
    with both(LlamaServerRuntime(), bundle, n_threads=1) as chat:
        note("the tests' chat model: calls")
        short = chat_request("What is the capital of France?", max_tokens=1, temperature=0)
        yield absolute(
            "a call of the chat model", differences(chat, calls(short), rounds), 0.3, "ms more"
        )
    with both(MirrorRuntime(), bundle) as mirror:
        note("images")
        image = ImageRequest(image=np.random.default_rng(0).random((3, 640, 640), dtype=np.float32))
        megabytes = 2 * image.image.nbytes / 1e6
        cost = [ms / megabytes for ms in differences(mirror, calls(image, IMAGES), rounds)]
        yield absolute("an image there and back", cost, 1.0, "ms/MB more (1.0 is 1 GB/s)")


@contextmanager
def both(runtime: Runtime, bundle: Bundle, **options: Any) -> Iterator[Pair]:
    """The same model on the process host and on the thread host."""
    kind = type(runtime)
    order = Order(runtime, f"{kind.__module__}:{kind.__name__}", bundle, find_device("cpu"), options)
    with ExitStack() as stack:
        yield loaded(ProcessHost(), order, stack), loaded(ThreadHost(), order, stack)


def loaded(host: Host, order: Order, stack: ExitStack) -> Instance:
    instance = host.load(order, SharedParts(), Call())
    stack.callback(instance.close)
    return instance


def differences(pair: Pair, measured: Callable[[Instance], float], rounds: int) -> list[float]:
    """Process minus thread, in milliseconds, round by round."""
    process, thread = pair
    there, here = interleave(lambda: measured(process), lambda: measured(thread), rounds, warmup=3)
    return [a - b for a, b in zip(there, here, strict=True)]


def calls(request: Any, count: int = CALLS) -> Callable[[Instance], float]:
    """The median time of a call, in milliseconds."""

    def measured(instance: Instance) -> float:
        return statistics.median(timed(lambda: instance.infer(request, Call())) for _ in range(count))

    return measured


def chunks(request: ChatRequest, count: int) -> Callable[[Instance], float]:
    """The time of a whole stream over its chunks, in milliseconds."""

    def read(instance: Instance) -> None:
        assert sum(1 for _ in instance.stream(request, Call())) > count

    return lambda instance: timed(lambda: read(instance)) / count


def timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
