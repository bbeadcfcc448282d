"""What is served: folders read once into commits of named, hashed files. No HTTP here."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from .sparse import Sparse

WEIGHT_SUFFIXES = (".gguf", ".safetensors", ".bin", ".onnx", ".pt", ".pth")
FIRST_COMMIT = datetime(2026, 1, 1, tzinfo=UTC)
_NOT_CONTENT = {".git", ".cache"}  # what an upload to the real hub leaves out


def git_blob_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of a large file (git-lfs specification, version 1)."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit, as it is declared; `source` holds its bytes."""

    path: str
    source: Path | Sparse
    size: int  # bytes
    sha256: str
    oid: str  # git blob sha1, of the pointer when `lfs`
    lfs: bool

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.oid

    @property
    def pointer_size(self) -> int:
        return len(lfs_pointer(self.sha256, self.size))


@dataclass(frozen=True)
class Commit:
    files: Mapping[str, File]  # by path, sorted
    title: str
    date: datetime
    known_sha: str | None = None  # of a listing that was published elsewhere

    @cached_property
    def sha(self) -> str:
        """The sha1 of the manifest: equal content has an equal commit, whenever and wherever it is added."""
        if self.known_sha:
            return self.known_sha
        lines = (f"{file.path}\0{file.size}\0{file.sha256}\n" for file in self.files.values())
        return hashlib.sha1("".join(lines).encode(), usedforsecurity=False).hexdigest()

    @cached_property
    def card(self) -> dict[str, Any]:
        readme = self.files.get("README.md")
        return front_matter(readme.source.read_text("utf-8", "replace")) if readme else {}


@dataclass(slots=True)
class Repo:
    """A repository: full ref names (`refs/heads/main`) to their history, newest commit first."""

    id: str
    gated: bool | str = False
    private: bool = False
    token: str | None = None
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, list[Commit]] = field(default_factory=dict)

    def history(self, revision: str) -> list[Commit] | None:
        """The commits reachable from a branch, tag, full ref or commit; None where it means nothing."""
        for ref in (f"refs/heads/{revision}", f"refs/tags/{revision}", revision):
            if ref in self.refs:
                return self.refs[ref]
        commit = self.commits.get(revision)
        return [commit] if commit else None

    def record(self, ref: str, commit: Commit) -> None:
        """Make `commit` the head of `ref`; what `ref` meant before stays in its history."""
        commit = self.commits.setdefault(commit.sha, commit)
        before = self.refs.get(ref, [])
        if before[:1] != [commit]:
            self.refs[ref] = [commit, *before]


def read_commit(folder: Path, title: str, number: int, lfs_threshold: int) -> Commit:
    """Hash every file below `folder`; commit dates are fixed, so that a run can be repeated."""
    if not folder.is_dir():
        raise NotADirectoryError(f"a repository is served from a folder, and {folder} is none")
    files = {file.path: file for file in _read_files(folder, lfs_threshold)}
    return Commit(files, title, FIRST_COMMIT + timedelta(minutes=number))


def listed_file(path: str, content: Sparse, sha256: str | None = None) -> File:
    """A file that is served without a folder; one with a `sha256` is an LFS file of that hash."""
    pointer = lfs_pointer(sha256, content.size) if sha256 else content.read(0, content.size)
    digest = sha256 or hashlib.sha256(pointer).hexdigest()
    return File(path, content, content.size, digest, git_blob_sha1(pointer), lfs=sha256 is not None)


def _read_files(folder: Path, lfs_threshold: int) -> Iterator[File]:
    paths = (source.relative_to(folder) for source in folder.rglob("*") if source.is_file())
    for path in sorted(path.as_posix() for path in paths if not _NOT_CONTENT & set(path.parts)):
        yield _read_file(path, folder / path, lfs_threshold)


def _read_file(path: str, source: Path, lfs_threshold: int) -> File:
    with source.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        size = stream.tell()
    lfs = path.lower().endswith(WEIGHT_SUFFIXES) or size >= lfs_threshold
    oid = git_blob_sha1(lfs_pointer(sha256, size) if lfs else source.read_bytes())
    return File(path, source, size, sha256, oid, lfs)


def front_matter(readme: str) -> dict[str, Any]:
    """The YAML block at the top of a model card; {} without one, or where it is broken, as on the real hub.

    So where it has aliases, which as JSON would multiply.
    """
    import yaml  # type: ignore[import-untyped]  # huggingface_hub brings it; the server starts without

    lines = readme.lstrip("\ufeff").splitlines()
    if not lines or lines[0].strip() != "---":
        return {}
    end = next((i for i, line in enumerate(lines[1:], 1) if line.strip() == "---"), None)
    if end is None:
        return {}
    text = "\n".join(lines[1:end])
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
            return {}
        data = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return data if isinstance(data, dict) else {}
