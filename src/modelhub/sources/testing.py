"""What every source must do, as tests to inherit.

Give the class of your tests the four methods below, and pytest (or unittest) finds the rest::

    class TestMySource(SourceContract):
        def make_source(self) -> Source: ...
        def reference(self) -> ModelRef: ...
        def content(self) -> Mapping[str, bytes]: ...
        def missing_reference(self) -> ModelRef: ...

`content` must come by a road that bypasses the source; it needs one file of at least four bytes.
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TypeVar

from modelhub.errors import FileNotInRepository, ModelHubError, RepositoryNotFound, RevisionNotFound
from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import ModelRef, RepoPath
from modelhub.sources.base import API_VERSION, Source

E = TypeVar("E", bound=ModelHubError)

_ABSENT_REVISION = "no-such-revision"


class SourceContract:
    """Inherit and fill in; every `test_` method then drives your source."""

    def make_source(self) -> Source:
        """A source, new for each test."""
        raise NotImplementedError

    def reference(self) -> ModelRef:
        """A repository that the source has."""
        raise NotImplementedError

    def content(self) -> Mapping[str, bytes]:
        """Every file of that repository, read by another road."""
        raise NotImplementedError

    def missing_reference(self) -> ModelRef:
        """A repository that the source does not have."""
        raise NotImplementedError

    def test_class_attributes(self) -> None:
        source = type(self.make_source())
        assert source.api_version == API_VERSION
        assert all(re.fullmatch(r"[a-z][a-z0-9+.-]*", name) for name in (source.name, *source.aliases))

    def test_listing_is_the_repository(self) -> None:
        source, listing = self._described()
        assert listing.repo.source == source.name
        assert re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", listing.commit)
        assert {file.path: file.size for file in listing.files} == {
            path: len(data) for path, data in self.content().items()
        }
        source.close()

    def test_declared_hashes_are_true(self) -> None:
        source, listing = self._described()
        for file in listing.files:
            assert file.sha256 in (None, sha256(self.content()[file.path]).hexdigest()), file.path
        source.close()

    def test_name_can_be_written_as_a_reference(self) -> None:
        source, listing = self._described()
        assert ModelRef.parse(listing.repo.id).id == listing.repo.id
        source.close()

    def test_commit_stays_while_nothing_changes(self) -> None:
        source, listing = self._described()
        assert source.describe(self.reference()) == listing
        source.close()

    def test_a_known_commit_is_described_the_same(self) -> None:
        source, listing = self._described()
        asked: list[tuple[RepoId, str]] = []

        def known(repo: RepoId, commit: str) -> RepoListing | None:
            asked.append((repo, commit))
            return listing

        assert source.describe_known(self.reference(), known) == listing
        assert source.describe_known(self.reference(), lambda _repo, _commit: None) == listing
        assert set(asked) <= {(listing.repo, listing.commit)}
        source.close()

    def test_read_gives_the_range(self) -> None:
        source, listing, file, data = self._largest()
        size = len(data)
        for start, end in [(0, size), (0, 1), (1, size - 1), (size - 1, size), (2, 2)]:
            assert source.read(listing, file, start, end) == data[start:end], (start, end)
        source.close()

    def test_read_is_short_only_at_the_end(self) -> None:
        source, listing, file, data = self._largest()
        size = len(data)
        assert source.read(listing, file, size - 2, size + 100) == data[-2:]
        assert source.read(listing, file, size, size + 100) == b""
        source.close()

    def test_open_gives_every_file_whole(self) -> None:
        source, listing = self._described()
        for file in listing.files:
            assert drain(source, listing, file) == self.content()[file.path], file.path
        source.close()

    def test_open_from_the_middle(self) -> None:
        source, listing, file, data = self._largest()
        for start in (1, len(data) // 2, len(data) - 1, len(data)):
            assert drain(source, listing, file, start, buffer_size=1000) == data[start:], start
        source.close()

    def test_open_gives_the_range(self) -> None:
        source, listing, file, data = self._largest()
        size = len(data)
        for start, end in [
            (0, 1),
            (1, size - 1),
            (size // 2, size // 2 + 1),
            (0, size),
            (1, size + 100),
        ]:
            found = drain(source, listing, file, start, end, buffer_size=1000)
            assert found == data[start:end], (start, end)
        source.close()

    def test_open_of_an_empty_range(self) -> None:
        source, listing, file, data = self._largest()
        for start in (0, 2, len(data), len(data) + 100):
            assert drain(source, listing, file, start, start) == b"", start
        source.close()

    def test_end_of_stream_stays_the_end(self) -> None:
        source, listing, file, data = self._largest()
        with source.open(listing, file, len(data) - 1) as stream:
            counts = [stream.readinto(memoryview(bytearray(8))) for _ in range(3)]
        assert counts == [1, 0, 0]
        source.close()

    def test_a_stream_may_be_left_early(self) -> None:
        source, listing, file, data = self._largest()
        for _ in range(3):
            with source.open(listing, file) as stream:
                assert stream.readinto(memoryview(bytearray(1))) == 1
        assert source.read(listing, file, 0, 4) == data[:4]
        source.close()

    def test_threads_may_share_a_source(self) -> None:
        source, listing = self._described()
        files = listing.files * 4
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(lambda file: drain(source, listing, file), files))
        assert found == [self.content()[file.path] for file in files]
        source.close()

    def test_a_listing_outlives_its_source(self) -> None:
        source, listing, file, data = self._largest()
        source.close()
        other = self.make_source()
        stored = RepoListing.model_validate_json(listing.model_dump_json())
        assert other.read(stored, file, 0, 4) == data[:4]
        other.close()

    def test_missing_repository(self) -> None:
        source = self.make_source()
        error = raised(RepositoryNotFound, lambda: source.describe(self.missing_reference()))
        assert error.hint
        source.close()

    def test_missing_revision(self) -> None:
        source, ref = self.make_source(), self.reference()
        absent = ModelRef(ref.name, ref.vendor, ref.source, _ABSENT_REVISION, path=ref.path)
        error = raised(RevisionNotFound, lambda: source.describe(absent))
        assert _ABSENT_REVISION in error.message
        assert error.hint
        source.close()

    def test_missing_file(self) -> None:
        source, listing = self._described()
        absent = RepoFile(path=RepoPath("no/such/file.bin"), size=4)
        raised(FileNotInRepository, lambda: source.read(listing, absent, 0, 4))
        raised(FileNotInRepository, lambda: drain(source, listing, absent))
        source.close()

    def _described(self) -> tuple[Source, RepoListing]:
        source = self.make_source()
        return source, source.describe(self.reference())

    def _largest(self) -> tuple[Source, RepoListing, RepoFile, bytes]:
        source, listing = self._described()
        file = max(listing.files, key=lambda file: file.size)
        return source, listing, file, self.content()[file.path]


def drain(
    source: Source,
    listing: RepoListing,
    file: RepoFile,
    start: int = 0,
    end: int | None = None,
    *,
    buffer_size: int = 1 << 16,
) -> bytes:
    """Everything that `source.open` gives, read through a buffer of `buffer_size` bytes."""
    buffer, data = memoryview(bytearray(buffer_size)), bytearray()
    with source.open(listing, file, start, end) as stream:
        while count := stream.readinto(buffer):
            data += buffer[:count]
    return bytes(data)


def raised(kind: type[E], call: Callable[[], object]) -> E:
    """The error of that kind that `call` raises."""
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")
