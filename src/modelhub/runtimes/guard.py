"""What an engine raises, typed; what a runtime gives, checked."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.errors import EngineError, ModelHubError, RuntimeBroken, RuntimeProblem
from modelhub.facts import Fact
from modelhub.runtimes.base import Capabilities, Instance
from modelhub.tasks import ChatChunk, ChatRequest, Request, Result

log = logging.getLogger(__name__)


@contextmanager
def typed_errors(runtime: str, kind: type[RuntimeProblem] = EngineError) -> Iterator[None]:
    """What is not an error of modelhub's becomes one of `kind`, with the engine's own as its cause.

    So does an engine's wish to end the program.
    """
    try:
        yield
    except ModelHubError:
        raise
    except (Exception, SystemExit) as error:
        raise kind(f"{runtime} failed: {type(error).__name__}: {error}") from error


def check_instance(runtime: str, loaded: object) -> Instance:
    """What `load` gave, if it is an instance that says what it can do; else it is closed.

    Raises:
        RuntimeBroken
    """
    if not isinstance(loaded, Instance):
        raise _wrong(runtime, "load", "an Instance", loaded)
    with typed_errors(runtime):
        capabilities: object = loaded.capabilities
    if isinstance(capabilities, Capabilities):
        return loaded
    with typed_errors(runtime):
        loaded.close()
    raise _wrong(runtime, "capabilities", "Capabilities", capabilities)


def memory_of(runtime: str, instance: Instance) -> int | None:
    """The memory that an instance says it takes; `None` when it says nothing sensible."""
    try:
        memory: object = instance.memory
    except Exception:
        log.exception("memory_not_measured", extra={"runtime_type": runtime})
        return None
    return memory if isinstance(memory, int) and memory >= 0 else None


def check_result(runtime: str, answer: object) -> Result:
    """What `infer` gave, if it is a result.

    Raises:
        RuntimeBroken
    """
    if not isinstance(answer, Result):
        raise _wrong(runtime, "infer", "a Result", answer)
    return answer


def checked_pieces(runtime: str, request: Request, pieces: Any) -> Iterator[Any]:
    """The pieces of a stream; errors on the way are typed. Closing this closes the stream.

    Raises:
        RuntimeBroken: when `stream` gave nothing that can be read, or pieces of another kind.
        EngineError: on the way, when an answer to a chat ends without its last piece.
    """
    if not isinstance(pieces, Iterator):
        raise _wrong(runtime, "stream", "an iterator", pieces)
    kind, name = (ChatChunk, "ChatChunks") if isinstance(request, ChatRequest) else (Fact, "Facts")
    return _checked(runtime, pieces, kind, name)


def _checked(runtime: str, pieces: Iterator[Any], kind: type[Fact], name: str) -> Iterator[Any]:
    piece = None
    try:
        with typed_errors(runtime):
            for piece in pieces:
                if not isinstance(piece, kind):
                    raise _wrong(runtime, "stream", name, piece)
                yield piece
            if kind is ChatChunk and getattr(piece, "finish_reason", None) is None:
                raise EngineError(
                    f"{runtime} ended its answer without saying why: it is not whole",
                    hint="Ask again; if it does so each time, please tell the runtime's makers.",
                )
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()


def _wrong(runtime: str, method: str, due: str, given: object) -> RuntimeBroken:
    return RuntimeBroken(
        f"the runtime {runtime!r} breaks the contract: {method} gave {type(given).__name__!r}, not {due}",
        hint="Its tests should inherit modelhub.runtimes.testing; please tell its makers.",
    )
