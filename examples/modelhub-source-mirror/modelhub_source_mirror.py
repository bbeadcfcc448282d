"""Repositories on a file server: `mirror://vendor/name` is the folder `$MODEL_MIRROR/vendor/name`."""

import os
from io import FileIO
from pathlib import Path
from typing import Any

from modelhub import errors
from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import Digest, ModelRef, check_tree
from modelhub.sources import Source

SUMS = "SHA256SUMS"  # as sha256sum writes it; its own hash stands for a commit


def find(repo: str, name: str, kind: type[errors.NotFound] = errors.FileNotInRepository) -> Path:
    path = Path(os.environ.get("MODEL_MIRROR", "/srv/models"), repo, name)
    if not os.access(path, os.R_OK):
        raise kind(f"{path} cannot be read", hint="MODEL_MIRROR names the mirror's folder.")
    return path


class Part(FileIO):
    """The bytes `start` (inclusive) to `end` (exclusive) of a file."""

    def __init__(self, path: Path, start: int, end: int) -> None:
        super().__init__(path)
        self.left = max(0, end - self.seek(start))

    def readinto(self, buffer: Any, /) -> int:
        count = super().readinto(buffer[: self.left])
        self.left -= count
        return count


class MirrorSource(Source):
    name = "mirror"
    remote = False  # it opens no socket, so an offline Hub may use it

    def describe(self, ref: ModelRef) -> RepoListing:
        sums = find(ref.id, SUMS, errors.RepositoryNotFound).read_bytes()
        commit = Digest.of(sums)
        if ref.revision not in (None, "main", commit):
            raise errors.RevisionNotFound(f"no revision {ref.revision}", hint="A mirror has only main.")
        hashes = {line[66:]: Digest(line[:64]) for line in sums.decode(errors="replace").splitlines()}
        sizes = {path: find(ref.id, path).stat().st_size for path in check_tree(hashes)}
        files = tuple(RepoFile(path=path, size=sizes[path], sha256=hashes[path]) for path in sizes)
        repo = RepoId(source=self.name, vendor=ref.vendor or "", name=ref.name)
        uri = self.uri(ref)
        return RepoListing(repo=repo, commit=commit, revision="main", files=files, source_uri=uri)

    def open(self, listing: RepoListing, file: RepoFile, start: int = 0, end: int | None = None) -> Part:
        if Digest.of(find(listing.repo.id, SUMS).read_bytes()) != listing.commit:
            raise errors.SourceError(f"{listing.repo.id} has changed", hint="Sync it again.")
        return Part(find(listing.repo.id, file.path), start, file.size if end is None else end)

    def read(self, listing: RepoListing, file: RepoFile, start: int, end: int) -> bytes:
        with self.open(listing, file, start, end) as part:
            return part.read(part.left)
