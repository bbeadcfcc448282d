"""What an engine raises, typed; what a runtime gives, checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.errors import EngineError, ModelHubError, RuntimeBroken, RuntimeProblem
from modelhub.runtimes.base import Instance
from modelhub.tasks import Result


@contextmanager
def typed_errors(runtime: str, kind: type[RuntimeProblem] = EngineError) -> Iterator[None]:
    """What is not an error of modelhub's becomes one of `kind`, with the engine's own as its cause."""
    try:
        yield
    except ModelHubError:
        raise
    except Exception as error:
        raise kind(f"{runtime} failed: {type(error).__name__}: {error}") from error


def check_instance(runtime: str, loaded: object) -> Instance:
    """What `load` gave, if it is an instance.

    Raises:
        RuntimeBroken
    """
    if not isinstance(loaded, Instance):
        raise _wrong(runtime, "load", "an Instance", loaded)
    return loaded


def check_result(runtime: str, answer: object) -> Result:
    """What `infer` gave, if it is a result.

    Raises:
        RuntimeBroken
    """
    if not isinstance(answer, Result):
        raise _wrong(runtime, "infer", "a Result", answer)
    return answer


def checked_pieces(runtime: str, pieces: Any) -> Iterator[Any]:
    """The pieces of a stream; errors on the way are typed. Closing this closes the stream.

    Raises:
        RuntimeBroken: when `stream` gave nothing that can be read.
    """
    if not isinstance(pieces, Iterator):
        raise _wrong(runtime, "stream", "an iterator", pieces)
    return _typed_pieces(runtime, pieces)


def _typed_pieces(runtime: str, pieces: Iterator[Any]) -> Iterator[Any]:
    try:
        with typed_errors(runtime):
            yield from pieces
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def _wrong(runtime: str, method: str, due: str, given: object) -> RuntimeBroken:
    return RuntimeBroken(
        f"the runtime {runtime!r} breaks the contract: {method} gave {type(given).__name__!r}, not {due}",
        hint="Its tests should inherit modelhub.runtimes.testing; please tell its makers.",
    )
