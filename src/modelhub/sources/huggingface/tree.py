"""The hub's tree of files, read as what it is: a stranger's claim, of any size.

Format: `GET /api/models/{id}/tree/{commit}?recursive=true`, an array of
`{type: "file", path, size, oid, lfs?: {oid, size}, xetHash?}` in pages (huggingface.co/docs/hub/api).
"""

import json
import re
from collections.abc import Iterable
from typing import Any, TypeGuard

from modelhub.errors import SourceError
from modelhub.facts import RepoFile
from modelhub.refs import Digest, RepoPath, check_tree

MAX_ENTRIES = 100_000
MAX_SIZE = 1 << 40  # bytes; the hub takes files of 500 GB at most
# Of one page, counted before it is parsed: what JSON holds costs far more memory than its text. An
# entry has at most two objects and eight commas, and a name may have some more of either.
_MAX_CONTAINERS = 2 * MAX_ENTRIES
_MAX_COMMAS = 400_000
_GIT_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def parse_json(body: bytes, what: str) -> Any:
    """The JSON value of `body`.

    Raises:
        SourceError: when it is none.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise unusable(what, "it is not JSON") from None


def page_files(body: bytes, what: str) -> tuple[int, list[RepoFile]]:
    """How many entries one page of a tree has, and those that are files.

    Raises:
        UnsafePath: when a name would leave its folder.
        SourceError: when the page is not an array of objects, or has more of them than a tree, and
            for a size or hash that cannot be.
    """
    if body.count(b"{") + body.count(b"[") > _MAX_CONTAINERS or body.count(b",") > _MAX_COMMAS:
        raise unusable(what, "it has more values than any page of a tree")
    page = parse_json(body, what)
    if not isinstance(page, list) or not all(isinstance(entry, dict) for entry in page):
        raise unusable(what, "it is not an array of objects")
    files = (entry for entry in page if entry.get("type") == "file")
    return len(page), [_file(RepoPath(_path(entry, what)), entry, what) for entry in files]


def checked_files(found: Iterable[RepoFile]) -> tuple[RepoFile, ...]:
    """The files of a whole tree, sorted by path.

    Raises:
        UnsafePath: when two names are one on some system.
    """
    files = tuple(sorted(found, key=lambda file: file.path))
    check_tree(file.path for file in files)
    return files


def ref_names(refs: Any) -> tuple[str, ...]:
    """The branches and tags in the answer of `GET /api/models/{id}/refs`."""
    groups = [refs.get(group) for group in ("branches", "tags")] if isinstance(refs, dict) else []
    found: Iterable[Any] = (ref for group in groups if isinstance(group, list) for ref in group)
    names = (ref.get("name") for ref in found if isinstance(ref, dict))
    return tuple(name for name in names if isinstance(name, str) and name.isprintable())


def is_commit(text: object) -> TypeGuard[str]:
    """Whether `text` is a git object id in full."""
    return isinstance(text, str) and bool(_GIT_OID.fullmatch(text))


def unusable(what: str, problem: str) -> SourceError:
    """The error for an answer that is not what the hub's API says it is."""
    return SourceError(
        f"unusable answer from {what}: {problem}",
        hint="Is this address a Hugging Face hub, or a mirror of one?",
    )


def too_many(what: str, problem: str) -> SourceError:
    """The error for a tree that may be one, and is larger than any that is read."""
    return SourceError(
        f"{what}: {problem}",
        hint="A repository of one model has some hundred files. This one may hold datasets or checkpoints; "
        "modelhub reads none of it.",
    )


def _path(entry: dict[str, Any], what: str) -> str:
    path = entry.get("path")
    if not isinstance(path, str):
        raise unusable(what, "a file has no path")
    return path


def _file(path: RepoPath, entry: dict[str, Any], what: str) -> RepoFile:
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise unusable(what, f"{path!r:.120} has the size {size!s:.40}")
    lfs = entry.get("lfs")
    sha256 = lfs.get("oid") if isinstance(lfs, dict) else None
    if lfs is not None and not _is_hash(sha256, _SHA256):
        raise unusable(what, f"{path!r:.120} has no usable sha256")
    # A gated repository shows its xet hashes as asterisks; a hash that is none is no hash.
    xet_hash, git_oid = entry.get("xetHash"), entry.get("oid")
    return RepoFile(
        path=path,
        size=size,
        sha256=None if sha256 is None else Digest(sha256),
        git_oid=git_oid if _is_hash(git_oid, _GIT_OID) else None,
        xet_hash=xet_hash if _is_hash(xet_hash, _SHA256) else None,
    )


def _is_hash(value: object, pattern: re.Pattern[str]) -> bool:
    return isinstance(value, str) and bool(pattern.fullmatch(value))
