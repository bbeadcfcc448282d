"""What lies in a cache of huggingface_hub: whose files, where, and what they should be.

Layout (huggingface_hub 2.4)::

    models--org--name/snapshots/<commit>/<path>   a link to ../../blobs/<etag>, or the file itself
    models--org--name/blobs/<etag>                a file, or a link to ../../blobs/ab/<xet hash>
    models--org--name/trees/<commit>.json         sizes and hashes of every file of the commit
    blobs/ab/<xet hash>                           bytes that repositories share

An etag is the SHA-256 of a large file, and git's id of another. All of it is a stranger's claim: nothing here
opens a file but the listing, and whoever opens one must follow no link.
"""

import json
import os
import re
import stat as modes
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any

from modelhub.errors import UnsafePath
from modelhub.facts import RepoId
from modelhub.refs import Digest, RepoPath

MAX_FILES = 100_000
"""So many entries of one commit are looked at, and folders within folders to a depth of `MAX_DEPTH`."""
MAX_DEPTH = 64
MAX_HOPS = 2
MAX_TREE = 64 << 20
"""Bytes of a listing; a longer one is not read."""

_REPO = re.compile(r"models--(?:([\w.-]+?)--)?([\w.-]+)", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BLOB = re.compile(r"models--[^/]+/blobs/([0-9a-f]{64}|[0-9a-f]{40})")
_SHA1 = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def repo_folder(repo: str) -> str:
    """How the cache calls the folder of `org/name`."""
    return f"models--{repo.replace('/', '--')}"


@dataclass(frozen=True, slots=True)
class Claim:
    """What a file should be, as far as the cache says: `size` in bytes, `git_oid` git's id of these bytes."""

    sha256: Digest | None = None
    git_oid: str | None = None
    size: int | None = None


@dataclass(frozen=True, slots=True)
class CachedFile:
    """A file of a commit, whose `size` bytes lie at `place` below the cache."""

    path: RepoPath
    place: RepoPath
    size: int
    claim: Claim


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something of a cache that is not what it should be: `place` below the cache, and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class CachedCommit:
    """What of a commit lies in a cache."""

    repo: RepoId
    commit: str
    files: tuple[CachedFile, ...]
    rejected: tuple[Rejected, ...]


def cached_commits(root: Path) -> Iterator[CachedCommit]:
    """Every commit of a model in the cache at `root`, by name.

    Raises:
        OSError: when `root` is no folder that can be read.
    """
    for folder in sorted(child.name for child in root.iterdir()):
        match = _REPO.fullmatch(folder)
        if match is None or "--" in match[2]:
            continue
        repo = RepoId(source="huggingface", vendor=match[1] or "", name=match[2])
        for commit in _commits(root / folder / "snapshots"):
            yield _commit(root, folder, repo, commit)


def _commits(folder: Path) -> list[str]:
    try:
        return sorted(one.name for one in folder.iterdir() if _COMMIT.fullmatch(one.name))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _commit(root: Path, folder: str, repo: RepoId, commit: str) -> CachedCommit:
    claims = _listed(root / folder / "trees" / f"{commit}.json")
    files: list[CachedFile] = []
    rejected: list[Rejected] = []
    for name in _names(root, f"{folder}/snapshots/{commit}", rejected):
        place = f"{folder}/snapshots/{commit}/{name}"
        try:
            files.append(_file(root, place, name, claims))
        except (OSError, UnsafePath, _WrongError) as error:
            rejected.append(Rejected(_shown(place), _reason(error)))
    return CachedCommit(repo, commit, tuple(files), tuple(rejected))


class _WrongError(Exception):
    """Why something is not taken."""


def _names(root: Path, base: str, rejected: list[Rejected]) -> Iterator[str]:
    """The names of all that is no folder, below `base`. No link is followed."""
    count, folders = 0, [""]
    while folders:
        prefix = folders.pop()
        try:
            with os.scandir(root / base / prefix) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            rejected.append(Rejected(_shown(f"{base}/{prefix}"), _reason(error)))
            continue
        count += len(found)
        if count > MAX_FILES or prefix.count("/") > MAX_DEPTH:
            rejected.append(Rejected(_shown(f"{base}/{prefix}"), "too many files, or folders too deep"))
            return
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{prefix}{entry.name}/")
            elif not entry.name.endswith(".incomplete"):
                yield prefix + entry.name


def _file(root: Path, place: str, name: str, claims: Mapping[str, Claim]) -> CachedFile:
    path = RepoPath(name)
    etag: re.Match[str] | None = None
    for _ in range(MAX_HOPS + 1):
        etag = _BLOB.fullmatch(place) or etag
        look = os.lstat(root / place)
        if modes.S_ISREG(look.st_mode):
            claim = _agreed(claims.get(name, Claim()), etag[1] if etag else "")
            return CachedFile(path, RepoPath(place), look.st_size, claim)
        if not modes.S_ISLNK(look.st_mode):
            raise _WrongError("it is no regular file")
        place = _target(place, str((root / place).readlink()))
    raise _WrongError(f"more than {MAX_HOPS} links lead to it")


def _target(place: str, link: str) -> str:
    """Where a link leads, below the cache; whoever opens that finds out whether folders on the way are links."""
    target = normpath(join(dirname(place), link))
    if link.startswith("/") or target.startswith("../") or target in ("..", "."):
        raise _WrongError("it is a link that leads out of the cache")
    return target


def _agreed(listed: Claim, etag: str) -> Claim:
    """What the listing and the name of the bytes say together."""
    sha256 = Digest(etag) if _SHA256.fullmatch(etag) else None
    git_oid = etag if _SHA1.fullmatch(etag) else None
    if listed == Claim():
        return Claim(sha256, git_oid)
    if (listed.sha256 and etag and listed.sha256 != etag) or (
        git_oid and listed.git_oid and listed.git_oid != git_oid
    ):
        raise _WrongError("its name and the commit's listing say different things of its bytes")
    return Claim(listed.sha256 or sha256, listed.git_oid or git_oid, listed.size)


def _listed(path: Path) -> dict[str, Claim]:
    """What a cached listing says, by path; one that cannot be read, or is none, says nothing."""
    try:
        data = json.loads(_bytes(path))
    except (OSError, ValueError, RecursionError):
        return {}
    files = data.get("files") if isinstance(data, dict) else None
    if not isinstance(files, dict) or data.get("format_version") != 1:
        return {}
    return {name: _claim(said) for name, said in files.items() if isinstance(said, dict)}


def _bytes(path: Path) -> bytes:
    with open(os.open(path, _LISTING), "rb") as file:  # noqa: PTH123 - of a descriptor, which followed no link
        data = file.read(MAX_TREE + 1)
    return data if len(data) <= MAX_TREE else b""


def _claim(said: Mapping[str, Any]) -> Claim:
    sha256, oid = said.get("lfs_sha256"), said.get("blob_id")
    size = said.get("size") if sha256 is None else said.get("lfs_size")
    large = isinstance(sha256, str) and _SHA256.fullmatch(sha256)
    # Of a large file git has only a pointer, and its id says nothing of the bytes.
    small = sha256 is None and isinstance(oid, str) and _SHA1.fullmatch(oid)
    return Claim(
        Digest(str(sha256)) if large else None,
        str(oid) if small else None,
        size if isinstance(size, int) and size >= 0 else None,
    )


def _shown(place: str) -> str:
    """A name that can be printed and written as JSON."""
    return place.rstrip("/").encode(errors="backslashreplace").decode()[:1024]


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return error.message if isinstance(error, UnsafePath) else str(error)
