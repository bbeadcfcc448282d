"""Where things lie below a store's root, and how a blob comes into a snapshot. Pure.

blobs/sha256/ab/<64 hex digits>               one file a digest, read-only
blocks/sha256/ab/<64 hex digits>              checksums of a blob's blocks, where it has several
tmp/                                          what is being written
quarantine/                                   what turned out to hold other bytes
snapshots/<vendor>/<name>/<commit>/<path>     folders as their repositories have them
"""

import re
from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Literal, get_args

from modelhub.errors import InvalidInput, UnsafePath
from modelhub.refs import Digest, RepoPath

BLOBS = "blobs/sha256"
TABLES = "blocks/sha256"
TMP = "tmp"
QUARANTINE = "quarantine"
SNAPSHOTS = "snapshots"
# A vendor's folder never starts with a dot, so this one is nobody's.
STAGING = ".tmp"

TOPS = frozenset({"blobs", "blocks", TMP, QUARANTINE, SNAPSHOTS})
"""What a store makes in its root."""

SMALL = 64 * 1024

_NOT_IN_FOLDER_NAMES = re.compile(r'[%/\\<>:"|?*\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')
_ONNX_DATA = re.compile(r"\.onnx[._]data(_\d+)?\Z")
# Formats that are whole by themselves. Anything else beside an .onnx may be its external data,
# which exporters name as they like (`weights.pb`, `model.data`, one file a tensor).
_WHOLE = frozenset({".bin", ".ckpt", ".gguf", ".h5", ".msgpack", ".pt", ".pth", ".safetensors"})


class LinkMode(StrEnum):
    """How a snapshot's file hangs together with its blob."""

    HARDLINK = "hardlink"
    SYMLINK = "symlink"
    REFLINK = "reflink"
    COPY = "copy"


LinkChoice = Literal["auto", "hardlink", "symlink", "reflink", "copy"]
"""`auto`: by kind of file and by what the file system can do. Else the one way for large files."""

LINK_CHOICES: tuple[LinkChoice, ...] = get_args(LinkChoice)


def known_link_mode(mode: str, field: str = "link_mode") -> None:
    """Refuse what is no `LinkChoice`.

    Raises:
        InvalidInput
    """
    if mode not in LINK_CHOICES:
        choices = ", ".join(LINK_CHOICES)
        raise InvalidInput(f"{field} must be one of {choices}, not {mode!r:.40}", field=field)


def digest_of(name: str) -> Digest | None:
    """The digest that a file's name is; `None` for a name that is not ours."""
    try:
        return Digest(name)
    except InvalidInput:
        return None


def blob_name(digest: Digest) -> str:
    """`ab/<hex>`, below `blobs/sha256`."""
    return f"{digest[:2]}/{digest}"


def blob_path(digest: Digest) -> str:
    """`blobs/sha256/ab/<hex>`, below the store's root."""
    return f"{BLOBS}/{blob_name(digest)}"


def snapshot_folder(vendor: str, name: str, commit: str) -> RepoPath:
    """`<vendor>/<name>/<commit>`, below `snapshots`: three parts, different for different names.

    A repository without a vendor lies under `_`; a vendor that starts with `_` or a dot gets
    one more `_` in front. What no system can hold in a file name is percent-encoded.

    Raises:
        UnsafePath: for an empty name or commit, and for one that is too long.
    """
    home = f"_{vendor}" if vendor[:1] in ("", "_", ".") else vendor
    return RepoPath("/".join(_part(part) for part in (home, name, commit)))


def _part(text: str) -> str:
    safe = _NOT_IN_FOLDER_NAMES.sub(lambda found: _percent(found[0]), text)
    if safe[-1:] in (".", " "):
        safe = safe[:-1] + _percent(safe[-1])
    try:
        return RepoPath(safe)
    except UnsafePath:
        # A device of Windows, or a git folder: one encoded letter makes it an ordinary name.
        return RepoPath(safe and _percent(safe[0]) + safe[1:])


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode(errors="surrogatepass"))


def symlink_target(folder: str, path: RepoPath, digest: Digest) -> str:
    """The relative target of a link at `snapshots/<folder>/<path>` that means the blob."""
    ups = 1 + folder.count("/") + 1 + path.count("/")
    return "../" * ups + blob_path(digest)


def onnx_folders(paths: Iterable[RepoPath]) -> frozenset[str]:
    """The folders of a repository that hold an `.onnx` file."""
    return frozenset(path.folder for path in paths if path.suffix == ".onnx")


def link_modes(
    path: RepoPath, size: int, with_onnx: Collection[str] = frozenset(), mode: LinkChoice = "auto"
) -> tuple[LinkMode, ...]:
    """The ways to bring a blob of `size` bytes into a snapshot as `path`, best first; with a `mode`, that one.

    Files below 64 KiB are copied, since people edit configurations. ONNX with its external data
    (in one of the folders `with_onnx`) gets an inode of its own, since onnx ≥ 1.21 refuses data
    that is a symlink or has a second link. So it is with every `mode`.
    """
    if size < SMALL:
        return (LinkMode.COPY,)
    if mode in ("reflink", "copy"):
        return (LinkMode(mode),)
    if _of_onnx(path, with_onnx):
        return LinkMode.REFLINK, LinkMode.COPY
    if mode != "auto":
        return (LinkMode(mode),)
    return LinkMode.HARDLINK, LinkMode.SYMLINK, LinkMode.REFLINK, LinkMode.COPY


def copied_bytes(files: Iterable[tuple[RepoPath, int]], mode: LinkChoice = "auto") -> int:
    """What a snapshot of these paths and sizes takes beside its blobs, at most: where the file system can
    share blocks, ONNX takes nothing.
    """
    listed = list(files)
    folders = onnx_folders(path for path, _ in listed)
    ways = ((size, link_modes(path, size, folders, mode)) for path, size in listed)
    return sum(size for size, each in ways if each[-1] is LinkMode.COPY and each[0] not in _SHARES)


_SHARES = frozenset({LinkMode.HARDLINK, LinkMode.SYMLINK})


def _of_onnx(path: RepoPath, with_onnx: Collection[str]) -> bool:
    if path.suffix == ".onnx" or _ONNX_DATA.search(path.lower()):
        return True
    return path.folder in with_onnx and path.suffix not in _WHOLE
