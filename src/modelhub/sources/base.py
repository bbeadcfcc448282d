"""The contract between modelhub and a place that holds repositories.

A source is found by the entry point group `modelhub.sources`; the entry point's name is what
stands before `://` in a reference.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ClassVar, Protocol

from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import ModelRef

API_VERSION = 1

Known = Callable[[RepoId, str], RepoListing | None]
"""What is known of a repository at a commit from when it was listed before; `None` if nothing."""


class ByteStream(Protocol):
    """Bytes that arrive. `readinto` fills a buffer from the left and gives the count, 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


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

    def uri(self, ref: ModelRef) -> str:
        """What `describe(ref).source_uri` will be for a repository spelled so. Asks nobody.

        Raises:
            RepositoryNotFound: for a path where there is nothing.
        """
        return f"{self.name}://{ref.id}"

    def close(self) -> None:  # noqa: B027 - most sources keep nothing open
        """Give back connections."""
