"""A folder or a single weight file of this machine as a repository."""

import os
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import PurePath
from threading import Lock
from typing import BinaryIO, ClassVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    InvalidReference,
    ModelHubError,
    RepositoryNotFound,
    RevisionNotFound,
    SourceError,
)
from modelhub.facts import JsonDict, RepoFile, RepoId, RepoListing
from modelhub.refs import ModelRef, RepoPath
from modelhub.sources.base import ByteStream, Source
from modelhub.sources.cards import card_facts, front_matter
from modelhub.sources.local.folder import Found, Place, cached_repo_name, manifest_commit

_README = "README.md"
_MAX_README = 1 << 20  # bytes; its card stands at the top
_KNOWN = 64  # listings whose times are remembered
_YEAR_9999 = 253_402_300_799  # seconds, as far as a datetime goes; a file's time can be anything
_CHANGED_HINT = "Sync it again."


class LocalSource(Source):
    """A folder, or one file, named by its path.

    Its vendor is `local`, its name that of the folder or file made a legal name, so two folders may
    have one name. Its commit is `folder.manifest_commit`: a folder has one revision, the present one.
    """

    name: ClassVar[str] = "local"
    aliases: ClassVar[tuple[str, ...]] = ("file",)
    remote: ClassVar[bool] = False

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], Mapping[str, Found]] = OrderedDict()
        self._lock = Lock()

    def uri(self, ref: ModelRef) -> str:
        return _place(ref).path.as_uri()

    def describe(self, ref: ModelRef) -> RepoListing:
        place = _place(ref)
        found = place.listing()
        if not found:
            raise RepositoryNotFound(
                f"{place.path} holds no files", hint="Name the folder that holds a model's files."
            )
        listing = _listing(place, found, _read_card(place, found))
        self._remember(listing, found)
        return listing

    def read(self, listing: RepoListing, file: RepoFile, start: int, end: int) -> bytes:
        end = min(end, file.size)
        if start >= end:
            return b""
        data = bytearray(end - start)
        view, done = memoryview(data), 0
        with self._opened(listing, file, start, end) as stream:
            while done < len(data) and (count := stream.readinto(view[done:])):
                done += count
            stream.check()
        return bytes(view[:done])

    def open(
        self, listing: RepoListing, file: RepoFile, start: int = 0, end: int | None = None
    ) -> AbstractContextManager[ByteStream]:
        return self._opened(listing, file, start, end)

    @contextmanager
    def _opened(
        self, listing: RepoListing, file: RepoFile, start: int, end: int | None
    ) -> Iterator["_FileStream"]:
        found = self._found(listing, file)
        with _place_of(listing).open(file.path) as raw:
            stop = found.size if end is None else min(end, found.size)
            stream = _FileStream(raw, found, max(0, stop - start))
            stream.check()
            raw.seek(start)
            yield stream

    def _found(self, listing: RepoListing, file: RepoFile) -> Found:
        """What the listing saw of the file; from a listing of another process, by listing again."""
        key = (listing.source_uri, listing.commit)
        with self._lock:
            known = self._known.get(key)
        if known is None:
            found = _place_of(listing).listing()
            if manifest_commit(found) != listing.commit:
                raise _changed(listing.source_uri)
            known = self._remember(listing, found)
        if file.path not in known:
            raise FileNotInRepository(
                f"{listing.repo.id} has no file {file.path}", hint=_CHANGED_HINT, path=file.path
            )
        return known[file.path]

    def _remember(self, listing: RepoListing, found: tuple[Found, ...]) -> Mapping[str, Found]:
        known: Mapping[str, Found] = {file.path: file for file in found}
        with self._lock:
            self._known[listing.source_uri, listing.commit] = known
            while len(self._known) > _KNOWN:
                self._known.popitem(last=False)
        return known


class _FileStream:
    """A file's next `left` bytes, which must still be those of its listing when they end."""

    def __init__(self, raw: BinaryIO, found: Found, left: int) -> None:
        self._raw = raw
        self._found = found
        self._left = left

    def readinto(self, buffer: memoryview, /) -> int:
        count: int = self._raw.readinto(buffer[: self._left])  # type: ignore[attr-defined]
        self._left -= count
        if count < len(buffer):
            self.check()
        return count

    def check(self) -> None:
        if not self._found.is_still(os.fstat(self._raw.fileno())):
            raise _changed(self._found.path)


def repo_name(name: str) -> str:
    """`name` as a reference can spell it: `My model (1)` becomes `My-model-1`.

    >>> repo_name("My model (1)"), repo_name("..."), repo_name("a--b.git")
    ('My-model-1', 'model', 'a-b')
    """
    legal = re.sub(r"[^A-Za-z0-9_.-]+", "-", name)
    legal = re.sub(r"-{2,}", "-", re.sub(r"\.{2,}", ".", legal))
    while (shorter := re.sub(r"(?i)\.git\Z", "", legal[:96].strip(".-"))) != legal:
        legal = shorter
    return legal or "model"


def _place(ref: ModelRef) -> Place:
    if ref.path is None:
        raise InvalidReference(
            f"{ref} names no path",
            hint="A local model is named by its path, as in ./folder.",
            field="model",
        )
    if ref.revision is not None:
        raise RevisionNotFound(
            f"{ref.path} has no revision {ref.revision}",
            hint="A folder has only its present state.",
            revision=ref.revision,
            available=[],
        )
    return _existing(ref.path)


def _existing(path: str) -> Place:
    try:
        return Place.of(path)
    except PermissionError as error:
        raise AccessDenied(
            f"{path} cannot be read: {error.strerror}",
            hint="Check its owner and permissions.",
            path=path,
        ) from error
    except (OSError, ValueError) as error:
        raise RepositoryNotFound(
            f"no folder or file {path}",
            hint="Check the spelling; a relative path starts here.",
            path=path,
        ) from error


def _place_of(listing: RepoListing) -> Place:
    parts = urlsplit(listing.source_uri)
    if parts.scheme != "file":
        raise SourceError(f"{listing.source_uri!r:.120} is no file address", hint=_CHANGED_HINT)
    return _existing(url2pathname(parts.path))


def _listing(place: Place, found: tuple[Found, ...], card: JsonDict) -> RepoListing:
    facts = card_facts(card)
    name = PurePath(place.only).stem if place.only else cached_repo_name(place.root) or place.root.name
    newest = max(file.mtime_ns for file in found) // 1_000_000_000
    return RepoListing(
        repo=RepoId(source=LocalSource.name, vendor="local", name=repo_name(name)),
        commit=manifest_commit(found),
        revision="main",
        files=tuple(RepoFile(path=file.path, size=file.size) for file in found),
        source_uri=place.path.as_uri(),
        card=card,
        tags=facts.tags,
        pipeline_tag=facts.pipeline_tag,
        library_name=facts.library_name,
        license=facts.license,
        last_modified=datetime.fromtimestamp(min(max(newest, 0), _YEAR_9999), UTC),
    )


def _read_card(place: Place, found: tuple[Found, ...]) -> JsonDict:
    if not any(file.path == _README for file in found):
        return {}
    with place.open(RepoPath(_README)) as raw:
        return front_matter(raw.read(_MAX_README).decode("utf-8", "replace"), str(place.path))


def _changed(path: str) -> ModelHubError:
    return SourceError(f"{path} has changed since it was listed", hint=_CHANGED_HINT, path=path)
