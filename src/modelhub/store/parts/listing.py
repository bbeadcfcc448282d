"""What is in `tmp` of blobs that are not whole yet."""

import stat as modes
from dataclasses import dataclass

from modelhub.refs import Digest
from modelhub.store import layout
from modelhub.store.blocks import BlockTable
from modelhub.store.folders import Folders
from modelhub.store.parts.reservations import PART, lives
from modelhub.store.parts.sidecar import newest


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A blob that is being received, or that somebody could go on receiving.

    `size` and `present` (what is durable of it) are in bytes, `age` is seconds since its last byte;
    `live` tells whether a writer has it now.
    """

    digest: Digest
    size: int
    present: int
    age: float
    live: bool


def unfinished(folders: Folders, now: int) -> tuple[Unfinished, ...]:
    """All parts of a store at `now` (nanoseconds since 1970), as they say themselves, by digest.

    Raises:
        StoreUnavailable
    """
    with folders.errors("look at the files in", layout.TMP):
        names = sorted(name for name in folders.ops.listdir(folders.tmp) if name.endswith(PART))
        return tuple(filter(None, (_one(folders, name, now) for name in names)))


def resumable(folders: Folders, name: str) -> bool:
    """Whether this is a part that somebody could go on with: the blob is not here."""
    return name.endswith(PART) and (digest := _digest(name)) is not None and not _whole(folders, digest)


def _digest(name: str) -> Digest | None:
    return layout.digest_of(name.partition(".")[0])


def _whole(folders: Folders, digest: Digest) -> bool:
    try:
        folders.ops.lstat(layout.blob_name(digest), dir_fd=folders.blobs)
    except FileNotFoundError:
        return False
    return True


def _one(folders: Folders, name: str, now: int) -> Unfinished | None:
    digest = _digest(name)
    try:
        look = folders.ops.lstat(name, dir_fd=folders.tmp)
        if digest is None or not modes.S_ISREG(look.st_mode) or _whole(folders, digest):
            return None
        live = lives(folders, name)
    except FileNotFoundError:
        return None  # it was published meanwhile
    table = newest(folders, name)
    age = max(0.0, (now - look.st_mtime_ns) / 1e9)
    return Unfinished(digest, look.st_size, _present(table, digest, look.st_size), age, live)


def _present(table: BlockTable | None, digest: Digest, size: int) -> int:
    if table is None or table.digest != digest or table.blocks.size != size:
        return 0
    here = (index for index, known in enumerate(table.checksums) if known is not None)
    return sum(end - start for start, end in table.blocks.spans(here))
