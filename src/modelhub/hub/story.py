"""What is told of a request: its log event, its row, the provenance on its answer. Never its content."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from modelhub.errors import (
    Cancelled,
    ContextTooLong,
    DeadlineExceeded,
    DoesNotFit,
    HubClosed,
    ModelHubError,
    ProcessLost,
    RuntimeNotInstalled,
)
from modelhub.facts import Call, CallRecord, CallStatus, Provenance
from modelhub.runtimes import Lease
from modelhub.tasks import Usage

log = logging.getLogger("modelhub.hub")

Tell = Callable[[CallRecord], None]

_SPEAKABLE = (
    ContextTooLong,
    DeadlineExceeded,
    DoesNotFit,
    HubClosed,
    ProcessLost,
    RuntimeNotInstalled,
)
"""Errors whose texts are made of names and numbers of ours; those of others may quote the caller."""


class Story:
    """One request, as far as it is known."""

    def __init__(self, call: Call, task: str, tell: Tell, repo: str = "") -> None:
        self._fields: dict[str, Any] = {"request_id": call.id, "task": task, "repo": repo}
        self._tell = tell
        self._at = datetime.now(UTC)
        self._started = time.monotonic()
        self._timings: dict[str, float] = {}
        self._ended = False

    def about(self, repo: str) -> None:
        """Which repository it is asked of."""
        self._fields["repo"] = repo

    def served_by(self, provenance: Provenance, lease: Lease) -> None:
        """Which model answers it."""
        self._timings["acquire_ms"] = self._elapsed()
        self._fields |= {
            "repo": provenance.repo,
            "commit": provenance.commit,
            "variant": provenance.variant,
            "digest": provenance.digest,
            "filename": provenance.files[0].path if provenance.files else None,
            "runtime": provenance.runtime,
            "instance": lease.number,
        }

    def began_to_answer(self) -> None:
        """The first piece is there."""
        self._timings.setdefault("first_ms", self._elapsed())

    def took(self, usage: Usage | None) -> None:
        """Tokens read and written."""
        if usage is not None:
            self._fields |= {
                "input_size": usage.prompt_tokens,
                "output_size": usage.completion_tokens,
            }

    def _elapsed(self) -> float:
        return round((time.monotonic() - self._started) * 1000, 3)

    def end(self, error: BaseException | None = None) -> None:
        """Log the event `inference`, fields as in docs/reference/logs.md, and have it written down. Once."""
        if self._ended:
            return
        self._ended = True
        record = CallRecord(
            **self._fields,
            timestamp=self._at,
            latency_ms=self._elapsed(),
            timings=self._timings or None,
            status=_status(error),
            error_type=_code(error),
            error_message=error.message if isinstance(error, _SPEAKABLE) else None,
        )
        log.info("inference", extra=_event(record))
        self._tell(record)


def _status(error: BaseException | None) -> CallStatus:
    if error is None:
        return CallStatus.OK
    cancelled = isinstance(error, GeneratorExit | Cancelled | KeyboardInterrupt)
    return CallStatus.CANCELLED if cancelled else CallStatus.ERROR


def _code(error: BaseException | None) -> str | None:
    if error is None or isinstance(error, GeneratorExit | Cancelled):
        return None
    return error.code if isinstance(error, ModelHubError) else type(error).__name__


def _event(record: CallRecord) -> dict[str, Any]:
    fields = {
        "request_id": record.request_id,
        "task_type": record.task,
        "model_repo_name": record.repo,
        "variant": record.variant,
        "runtime_type": record.runtime,
        "input_size": record.input_size,
        "output_size": record.output_size,
        "error_type": record.error_type,
    }
    known = {name: value for name, value in fields.items() if value not in {None, ""}}
    return known | {"status": record.status.value, "latency_ms": record.latency_ms}


@contextmanager
def told(story: Story) -> Iterator[Story]:
    """The story ends when the block does."""
    try:
        yield story
    except BaseException as error:
        story.end(error)
        raise
    story.end()


def signed(pieces: Iterator[Any], provenance: Provenance, story: Story) -> Iterator[Any]:
    """The pieces of a stream, the last one with its provenance. The story ends with them."""
    try:
        for piece in pieces:
            story.began_to_answer()
            last = getattr(piece, "finish_reason", None) is not None
            if last:
                story.took(piece.usage)
            yield piece.model_copy(update={"provenance": provenance}) if last else piece
    except BaseException as error:
        story.end(error)
        raise
    else:
        story.end()
    finally:
        close = getattr(pieces, "close", None)
        if close is not None:
            close()
