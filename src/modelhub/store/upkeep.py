"""What a store lets go, and how it ends."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Self

from modelhub.refs import Digest
from modelhub.store.inventory import Inventory
from modelhub.store.parts.listing import Unfinished

DAY = 86_400.0
WEEK = 7 * DAY


class Upkeep(ABC):
    """The part of `Store` that takes things out of it."""

    @abstractmethod
    def remove(self, digest: Digest, confirm: Callable[[], bool]) -> bool:
        """Delete a blob for good, if `confirm` still says so while nobody else vouches for it or links it.

        Whether it is gone now. The ledger is not told: whoever knows that nothing needs the blob does.

        Raises:
            StoreUnavailable
        """

    @abstractmethod
    def remove_snapshot(self, path: str) -> bool:
        """Remove a snapshot's folder, `snapshots/<vendor>/<name>/<commit>`; whether it was there.

        Blobs stay.

        Raises:
            StoreUnavailable, UnsafePath
        """

    @abstractmethod
    def parts(self) -> tuple[Unfinished, ...]:
        """The blobs that are being received, or that somebody could go on receiving, by digest.

        Raises:
            StoreUnavailable
        """

    @abstractmethod
    def inventory(self) -> Inventory:
        """What lies here, looked at file by file: no ledger is asked.

        Raises:
            StoreUnavailable: it cannot be looked through.
        """

    @abstractmethod
    def discard(self, path: str, *, older_than: float) -> bool:
        """Delete a file in `quarantine`, or a table of checksums, that did not change for so many seconds;
        whether it was one.

        Raises:
            StoreUnavailable
        """

    @abstractmethod
    def sweep(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> int:
        """Remove what dead writers left in `tmp` at least `older_than` seconds ago: how many.

        Parts that somebody could go on with have their own time, since their last byte.
        """

    @abstractmethod
    def left_over(self, older_than: float = DAY, *, parts_older_than: float = WEEK) -> tuple[str, ...]:
        """The names in `tmp` on this host that `sweep` would remove. Removes nothing.

        Raises:
            StoreUnavailable
        """

    @abstractmethod
    def erase(self) -> None:
        """Remove all that a store has, for good: blobs, snapshots, what was being written, what was set aside.
        What else lies in its place stays. Nothing else can be done with the store then.

        Raises:
            StoreUnavailable
        """

    @abstractmethod
    def close(self) -> None:
        """Give back what is held open; the store cannot be used after it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
