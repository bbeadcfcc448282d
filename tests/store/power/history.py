"""What happened to a disk, what of it is durable, and what a power cut may leave of the rest.

The model is an adversary's, wider than any one file system:

- Of a file's bytes, only those are sure that were written before an `fsync` or `fdatasync` of that
  file. Each later write may be there, be missing, be half there, or have left zeros, whatever became
  of the others, and the file's size and times may tell of it all the same.
- Mode and times of a file are sure after its `fsync`.
- A name that came, went or was replaced is sure after an `fsync` of its folder. Names that are not sure are
  there or not in any combination, also when a later one is there and an earlier is not.
- A rename is never halved. It is sure once the folder that it leads to is flushed.
- What is sure stays, and nothing else is ever damaged.
"""

import itertools
import random
import stat as modes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

SECTOR = 512
TOP = 1


class Fate(Enum):
    """What a power cut made of an operation that was not durable."""

    KEPT = "kept"
    LOST = "lost"
    ZEROS = "zeros"
    HALF = "half"


@dataclass(frozen=True)
class Write:
    ino: int
    offset: int
    data: bytes
    now: int

    fates = tuple(Fate)


@dataclass(frozen=True)
class Resize:
    ino: int
    size: int
    now: int

    fates = (Fate.KEPT, Fate.LOST)


@dataclass(frozen=True)
class Meta:
    """Another mode, or another modification time."""

    ino: int
    mode: int | None
    mtime: int | None
    now: int

    fates = (Fate.KEPT, Fate.LOST)


@dataclass(frozen=True)
class Name:
    """`name` in the folder `ino` means the inode `target` now, or nothing; a rename has a source."""

    ino: int
    name: str
    target: int | None
    now: int
    source: tuple[int, str] | None = None

    fates = (Fate.KEPT, Fate.LOST)


@dataclass(frozen=True)
class Sync:
    """A flush of a file or folder; without `meta`, of a file's bytes and size alone."""

    ino: int
    meta: bool = True


@dataclass(frozen=True)
class Mark:
    """No operation: from here on the scenario has been promised something."""

    promise: object


@dataclass
class Inode:
    number: int
    mode: int
    mtime: int
    ctime: int
    data: bytes = b""
    names: dict[str, int] = field(default_factory=dict)
    holes: int = 0

    @property
    def is_folder(self):
        return modes.S_ISDIR(self.mode)


class Tree:
    """A state of the disk: inodes by number; folders have names."""

    def __init__(self, inodes):
        self.inodes = inodes

    @classmethod
    def empty(cls, now):
        return cls({TOP: Inode(TOP, modes.S_IFDIR | 0o755, now, now)})

    def copy(self):
        return Tree({n: replace(one, names=dict(one.names)) for n, one in self.inodes.items()})

    def walk(self, folder=TOP, path=""):
        """Every name that can be reached: its path and its inode."""
        for name, number in self.inodes[folder].names.items():
            inode = self.inodes[number]
            yield f"{path}/{name}", inode
            if inode.is_folder:
                yield from self.walk(number, f"{path}/{name}")

    def links(self, number):
        return sum(number in inode.names.values() for inode in self.inodes.values())

    def signature(self):
        """Equal for states that nobody can tell apart."""
        return tuple(
            sorted(
                (path, one.number, one.mode, one.mtime, one.ctime, hash(one.data))
                for path, one in self.walk()
            )
        )

    def apply(self, op, fate=Fate.KEPT):
        if fate is Fate.LOST:
            return
        inode = self.inodes[op.ino]
        if isinstance(op, Write):
            data = {Fate.ZEROS: bytes(len(op.data)), Fate.HALF: _half(op.data)}.get(fate, op.data)
            _splice(inode, op.offset, data)
            inode.mtime = inode.ctime = op.now
        elif isinstance(op, Resize):
            inode.data = inode.data[: op.size].ljust(op.size, b"\0")
            inode.mtime = inode.ctime = op.now
        elif isinstance(op, Meta):
            if op.mode is not None:
                inode.mode = modes.S_IFMT(inode.mode) | op.mode
            if op.mtime is not None:
                inode.mtime = op.mtime
            inode.ctime = op.now
        else:
            self._rename(inode, op)

    def _rename(self, folder, op):
        if op.source is not None:
            parent, name = op.source
            names = self.inodes[parent].names
            if names.get(name) == op.target:
                del names[name]
        if op.target is None:
            folder.names.pop(op.name, None)
        else:
            folder.names[op.name] = op.target
            self.inodes[op.target].ctime = op.now
        folder.mtime = folder.ctime = op.now


def _half(data):
    """The first sectors of a write, and zeros where the others should be."""
    whole = len(data) // 2 // SECTOR * SECTOR or len(data) // 2
    return data[:whole] + bytes(len(data) - whole)


def _splice(inode, offset, data):
    old = inode.data.ljust(offset, b"\0")
    inode.data = old[:offset] + data + old[offset + len(data) :]


def loose(log: Sequence[object]) -> list[int]:
    """The indexes of those operations that a power cut at the end of `log` may undo."""
    waiting: list[int] = []
    for index, op in enumerate(log):
        if isinstance(op, Sync):
            waiting = [one for one in waiting if not _settled(log[one], op)]
        elif not isinstance(op, Mark):
            waiting.append(index)
    return waiting


def _settled(op, sync):
    return op.ino == sync.ino and (sync.meta or not isinstance(op, Meta))


def outcomes(ops: Sequence[object], draw: random.Random, limit: int) -> Iterator[tuple[Fate, ...]]:
    """What may become of `ops`: everything where that is at most `limit` cases, else a sample.

    The sample has the plain cases (all kept, all lost, zeros everywhere, each one alone kept or lost)
    before those that are drawn.
    """
    ways = [op.fates for op in ops]
    total = 1
    for one in ways:
        total *= len(one)
    if total <= limit:
        yield from itertools.product(*ways)
        return
    seen = set()
    for case in itertools.chain(_plain(ways), _drawn(ways, draw)):
        if len(seen) >= limit:
            return
        if case not in seen:
            seen.add(case)
            yield case


def _plain(ways):
    every = {fate: tuple(fate if fate in one else Fate.KEPT for one in ways) for fate in Fate}
    yield from every.values()
    for index, one in enumerate(ways):
        for fate in one:
            for rest in (Fate.KEPT, Fate.LOST):
                yield (*every[rest][:index], fate, *every[rest][index + 1 :])


def _drawn(ways, draw):
    while True:
        yield tuple(draw.choice(one) for one in ways)


def after_cut(start: Tree, log: Sequence[object], fates: dict[int, Fate]) -> Tree:
    """The disk after `log`, of which `fates` tells what became of what was loose."""
    tree = start.copy()
    for index, op in enumerate(log):
        if not isinstance(op, Sync | Mark):
            tree.apply(op, fates.get(index, Fate.KEPT))
    return tree
