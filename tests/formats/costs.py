"""Measures what reading or refusing a file costs: bytes asked for, memory, time."""

import time
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from modelhub.errors import FormatError
from modelhub.formats import RangeReader

T = TypeVar("T")

MEMORY = 50_000_000
"""What one hostile file may cost, in bytes."""

LIVENESS = 60.0
"""Seconds after which reading counts as hanging. Refusing takes milliseconds, or the fraction of a
second that the longest headers take; measuring memory makes that ten times as much."""


def refused(
    read: Callable[[RangeReader], Any], reader: RangeReader, *, bytes_read: int | None = None
) -> FormatError:
    """The error with which `read` refuses the file, within the memory that it may cost."""
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(FormatError) as caught:
            read(reader)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
    assert time.monotonic() - started < LIVENESS
    if bytes_read is not None:
        assert reader.bytes_read <= bytes_read
    assert caught.value.hint
    assert caught.value.details["file"] == reader.name
    return caught.value


def accepted(read: Callable[[RangeReader], T], reader: RangeReader) -> T:
    """What `read` makes of the file, within the memory that a hostile one may cost."""
    tracemalloc.start()
    try:
        header = read(reader)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MEMORY
    return header


class Remote:
    """A remote file of a claimed size, whose bytes after `head` are `filler`, over and over."""

    def __init__(self, head: bytes, size: int, filler: bytes = b"\0") -> None:
        self.head, self.size, self.filler = head, size, filler
        self.ranges: list[tuple[int, int]] = []

    def read(self, start: int, end: int) -> bytes:
        self.ranges.append((start, end))
        assert 0 <= start < end <= self.size
        known = self.head[start:end]
        missing = end - start - len(known)
        return known + (self.filler * (missing // len(self.filler) + 1))[:missing]

    def reader(self, **options: Any) -> RangeReader:
        return RangeReader(self.read, self.size, **options)
