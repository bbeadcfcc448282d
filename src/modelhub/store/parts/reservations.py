"""Room on the disk: what is being received has its room reserved from the start.

A part has its full size from the start, but no blocks yet; what it will still take is the difference.
"""

import stat as modes
from collections.abc import Collection, Mapping
from hashlib import sha256

from modelhub.store import layout
from modelhub.store.folders import Folders
from modelhub.store.fsops import READ, on_disk, opened

PART = ".part"
"""How the names of parts end."""


def part_name(digest: str, host: str) -> str:
    """How the part of a blob is called that is received on `host`.

    No two hosts write into one file: between hosts, a lock may hold for one alone.
    """
    return f"{digest}.{sha256(host.encode()).hexdigest()[:16]}{PART}"


def reserve(folders: Folders, what: str, need: int, own: str = "") -> None:
    """Refuse `what` when its `need` more bytes do not fit beside what the parts of others will take.

    `own` is the name of its part. Parts whose writer died reserve nothing.

    Raises:
        StoreFull: with the arithmetic.
    """
    _reserve(folders, what, need, {own})


def reserve_all(folders: Folders, sizes: Mapping[str, int], what: str, host: str) -> None:
    """Refuse files that are to be received, by their digests, when the rest of all does not fit.

    What their parts on this `host` have already is on the disk; raises as `reserve`.
    """
    parts = {part_name(digest, host): size for digest, size in sizes.items()}
    need = sum(max(0, size - _taken(folders, name)) for name, size in parts.items())
    _reserve(folders, what, need, parts)


def _reserve(folders: Folders, what: str, need: int, own: Collection[str]) -> None:
    free = folders.free() if need else None
    # Who lives is asked only when it matters: asking takes the locks of the dead for a moment.
    if free is None or need + _outstanding(folders, own, living=False) <= free:
        return
    reserved = _outstanding(folders, own, living=True)
    if need + reserved > free:
        raise folders.full(what, need, reserved)


def _outstanding(folders: Folders, own: Collection[str], *, living: bool) -> int:
    """Bytes that parts have not taken yet; only those whose writer lives, where that is asked."""
    with folders.errors("look at the files in", layout.TMP):
        names = [
            one for one in folders.ops.listdir(folders.tmp) if one.endswith(PART) and one not in own
        ]
        return sum(_hole(folders, name, living=living) for name in names)


def _taken(folders: Folders, name: str) -> int:
    """Bytes of the disk that a part has."""
    with folders.errors("look at the files in", layout.TMP):
        try:
            return on_disk(folders.ops.lstat(name, dir_fd=folders.tmp))
        except FileNotFoundError:
            return 0


def _hole(folders: Folders, name: str, *, living: bool) -> int:
    try:
        look = folders.ops.lstat(name, dir_fd=folders.tmp)
        hole = max(0, look.st_size - on_disk(look))
        if not modes.S_ISREG(look.st_mode) or not hole:
            return 0
        return hole if not living or lives(folders, name) else 0
    except FileNotFoundError:
        return 0  # it was published meanwhile


def lives(folders: Folders, name: str) -> bool:
    """Whether a writer holds the file `name` in `tmp`; where nobody can tell, yes."""
    if not folders.locks:
        return True
    with opened(folders.ops, name, READ, dir_fd=folders.tmp) as fd:
        return not folders.ops.try_lock(fd)
