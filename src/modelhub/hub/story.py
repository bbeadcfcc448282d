"""What is told of a request: its log event, and the provenance on its answer. Never its content."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from modelhub.errors import Cancelled, ModelHubError
from modelhub.facts import Call, Provenance

log = logging.getLogger("modelhub.hub")


class Story:
    """One request, as far as it is known."""

    def __init__(self, call: Call, task: str) -> None:
        self._fields: dict[str, Any] = {"request_id": call.id, "task_type": task}
        self._started = time.monotonic()

    def served_by(self, provenance: Provenance) -> None:
        """Which model answers it."""
        self._fields |= {
            "model_repo_name": provenance.repo,
            "variant": provenance.variant,
            "runtime_type": provenance.runtime,
        }

    def end(self, error: BaseException | None = None) -> None:
        """Log the event `inference`, fields as in docs/reference/logs.md."""
        status = "ok" if error is None else "error"
        if isinstance(error, GeneratorExit | Cancelled):
            status = "cancelled"
        elif error is not None:
            code = error.code if isinstance(error, ModelHubError) else type(error).__name__
            self._fields |= {"error_type": code}
        latency = round((time.monotonic() - self._started) * 1000, 3)
        log.info("inference", extra=self._fields | {"status": status, "latency_ms": latency})


@contextmanager
def told(call: Call, task: str) -> Iterator[Story]:
    """A story that ends when the block does."""
    story = Story(call, task)
    try:
        yield story
    except BaseException as error:
        story.end(error)
        raise
    story.end()


def signed(pieces: Iterator[Any], provenance: Provenance, call: Call, task: str) -> Iterator[Any]:
    """The pieces of a stream, the last one with its provenance."""
    with told(call, task) as story:
        story.served_by(provenance)
        try:
            for piece in pieces:
                last = getattr(piece, "finish_reason", None) is not None
                yield piece.model_copy(update={"provenance": provenance}) if last else piece
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
