"""How long something is ago, as callers write it."""

from datetime import UTC, datetime, timedelta

from modelhub.errors import InvalidInput

__all__ = ["Span", "seconds_of"]

Span = float | timedelta


def seconds_of(name: str, span: Span) -> float:
    """A time in seconds, given so or as a `timedelta`; not one that began before the calendar.

    Raises:
        InvalidInput: for what is no time; `name` is the field.
    """
    try:
        seconds = span.total_seconds() if isinstance(span, timedelta) else float(span)
        _ = datetime.now(UTC) - timedelta(seconds=seconds)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not seconds >= 0:
        raise InvalidInput(
            f"{name}: {span!r:.40} is no time",
            hint="Give seconds, or datetime.timedelta(days=30).",
            field=name,
        )
    return seconds
