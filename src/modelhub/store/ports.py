"""What the store must remember, and asks of whoever remembers for it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from modelhub.facts import BlobRecord
from modelhub.refs import Digest
from modelhub.store.blocks import Span
from modelhub.store.fsops import Check, OnBytes
from modelhub.store.intake import ByteStream, Expected


class Ledger(Protocol):
    """Remembers the blobs of one store and their proofs.

    Every method is one transaction; all are safe to call from several threads.
    """

    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        """The records of those that are known, in one query."""
        ...

    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        """Present blobs that this host has not hashed since `before`: never hashed ones first, then the
        longest ago; at most `limit`.
        """
        ...

    def record(self, records: Iterable[BlobRecord]) -> None:
        """Insert or replace records, all or none."""
        ...


class Below(Protocol):
    """A store below another, which is only read."""

    @property
    def uri(self) -> str: ...

    def probe(self) -> str:
        """Ask it whether it answers: what it is, in a line.

        Raises:
            StoreUnavailable, AccessDenied
        """
        ...


class Batch(Protocol):
    """Many small files that become blobs together; safe to use from several threads."""

    @property
    def records(self) -> Mapping[Digest, BlobRecord]:
        """What became a blob until now; all of it at the end of the batch."""
        ...

    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Digest:
        """Take all bytes of `stream`, as `Store.put` does; they get their name later, with others.

        Raises:
            IntegrityError, StoreFull, StoreUnavailable: as `Store.put`; the others of the batch stay.
        """
        ...


class Part(Protocol):
    """A blob that arrives in ranges; safe to write from several threads."""

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        ...

    @property
    def record(self) -> BlobRecord | None:
        """The blob's record, once it is here: then there is nothing to do."""
        ...

    @property
    def missing(self) -> tuple[Span, ...]:
        """The ranges that are still to come, ascending; each begins where a block does.

        After a crash only what was durable and has its checksum counts as here.
        """
        ...

    def write(self, offset: int, data: memoryview, /) -> None:
        """Take bytes that belong at `offset`. A range begins where a block does and comes in order.

        Bytes of a block that is here already are left out.

        Raises:
            IntegrityError: they go beyond the end of the file.
            InvalidInput: the range does not begin at a block, or somebody else writes there.
            StoreFull, StoreUnavailable
        """
        ...

    def finish(self, check: Check, /) -> BlobRecord:
        """Compare the whole with what was promised, and give it its name.

        Raises:
            IntegrityError: bytes are missing (what is here is kept), or they are others than promised
                (they go to quarantine, and nothing is under the digest).
            StoreFull, StoreUnavailable
        """
        ...
