"""A part that goes on to the bucket once it is whole."""

from collections.abc import Callable

from modelhub.facts import BlobRecord
from modelhub.store.blocks import Span
from modelhub.store.fsops import Check
from modelhub.store.ports import Part

Publish = Callable[[BlobRecord, Check | None], BlobRecord]


class RemotePart:
    """A part of the cache; `finish`, and a record that is here already, publish it (see `ports.Part`)."""

    def __init__(self, part: Part, publish: Publish) -> None:
        self._part = part
        self._publish = publish
        self.record = None if part.record is None else publish(part.record, None)

    @property
    def size(self) -> int:
        return self._part.size

    @property
    def missing(self) -> tuple[Span, ...]:
        return self._part.missing

    def write(self, offset: int, data: memoryview, /) -> None:
        self._part.write(offset, data)

    def finish(self, check: Check, /) -> BlobRecord:
        self.record = self._publish(self._part.finish(check), check)
        return self.record
