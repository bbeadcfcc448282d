"""What the store must remember, and asks of whoever remembers for it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from modelhub.facts import BlobRecord
from modelhub.refs import Digest


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
