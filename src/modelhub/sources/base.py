"""The contract between modelhub and a place that holds repositories.

A source is found by the entry point group `modelhub.sources`; the entry point's name is what
stands before `://` in a reference.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol

from modelhub.errors import Cancelled
from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import ModelRef

API_VERSION = 1

Known = Callable[[RepoId, str], RepoListing | None]
"""What is known of a repository at a commit from when it was listed before; `None` if nothing."""


class ByteStream(Protocol):
    """Bytes that arrive. `readinto` fills a buffer from the left and gives the count, 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


class Reader(Protocol):
    """Opens ranges of one file, all of the same version of it. Safe to use from several threads."""

    @property
    def whole_only(self) -> bool:
        """Whether the place has shown that it gives files from their start only."""
        ...

    def open(self, start: int, end: int | None) -> AbstractContextManager[ByteStream]:
        """The bytes `start` to `end`, as `Source.open`.

        Raises:
            SourceChanged: when the place has another version of the file by now.
        """
        ...

    def stop(self) -> None:
        """End every wait of `open` and of what it gave: they raise `Cancelled`, from here on too."""
        ...


class Source(ABC):
    """A place that holds repositories. Safe to use from several threads.

    `name` is what the registry stores; `aliases` are other names that references may use;
    `remote` is whether it opens sockets, which an offline Hub forbids.
    """

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    remote: ClassVar[bool] = True

    @abstractmethod
    def describe(self, ref: ModelRef) -> RepoListing:
        """The repository at `ref.revision` (its default branch if `None`), pinned to a commit.

        Raises:
            RepositoryNotFound, RevisionNotFound, GatedRepository, AccessDenied
            UnsafePath: when a file's name would leave its folder.
            SourceUnavailable: when it cannot be reached.
        """

    def describe_known(self, ref: ModelRef, known: Known) -> RepoListing:  # noqa: ARG002 - for those that use it
        """As `describe`. A commit's files may be taken from `known` rather than be asked for again."""
        return self.describe(ref)

    @abstractmethod
    def read(self, listing: RepoListing, file: RepoFile, start: int, end: int) -> bytes:
        """The bytes `start` (inclusive) to `end` (exclusive); fewer only at the file's end.

        Raises:
            FileNotInRepository, AccessDenied, SourceUnavailable
            IntegrityError, SourceError: when the file is no longer the one of the listing.
        """

    @abstractmethod
    def open(
        self, listing: RepoListing, file: RepoFile, start: int = 0, end: int | None = None
    ) -> AbstractContextManager[ByteStream]:
        """The bytes `start` (inclusive) to `end` (exclusive; the file's end if `None`, or beyond it).

        An empty range is an empty stream.

        Raises:
            FileNotInRepository, AccessDenied, SourceUnavailable
            IntegrityError, SourceError: when the file is no longer the one of the listing.
        """

    def reader(self, listing: RepoListing, file: RepoFile) -> Reader:
        """What fetches `file` in ranges, several at once. Asks nobody yet.

        By default it calls `open`; a source whose calls may wait for long should do better.
        """
        return _PlainReader(self, listing, file)

    def uri(self, ref: ModelRef) -> str:
        """What `describe(ref).source_uri` will be for a repository spelled so. Asks nobody.

        Raises:
            RepositoryNotFound: for a path where there is nothing.
        """
        return f"{self.name}://{ref.id}"

    def close(self) -> None:  # noqa: B027 - most sources keep nothing open
        """Give back connections."""


class _PlainReader:
    """Ranges by `Source.open`. What waits there is not woken; it ends when it next comes back."""

    whole_only = False

    def __init__(self, source: Source, listing: RepoListing, file: RepoFile) -> None:
        self._source, self._listing, self._file = source, listing, file
        self._stopped = False

    def open(self, start: int, end: int | None) -> AbstractContextManager[ByteStream]:
        if self._stopped:
            raise Cancelled("the transfer was stopped")
        return self._source.open(self._listing, self._file, start, end)

    def stop(self) -> None:
        self._stopped = True
