"""What hands and disks do to a store, around it."""

import hashlib
import os
from pathlib import Path


def unlock(path):
    """Make a blob writable, which only its owner can; root needs not."""
    Path(path).chmod(0o644)


def blob(store, digest):
    return store.root / "blobs" / "sha256" / digest[:2] / digest


def names(folder):
    """What is in a folder, sorted."""
    return sorted(entry.name for entry in Path(folder).iterdir())


def flip(path, at=10):
    """Flip one bit, as a program with the rights to do it would."""
    unlock(path)
    fd = os.open(path, os.O_RDWR)
    try:
        at = min(at, os.fstat(fd).st_size - 1)
        byte = os.pread(fd, 1, at)[0]
        os.pwrite(fd, bytes([byte ^ 1]), at)
    finally:
        os.close(fd)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def usage(folder):
    """Bytes on disk, each inode once."""
    seen = {}
    for parent, _folders, files in os.walk(folder):
        for name in files:
            look = (Path(parent) / name).lstat()
            seen[look.st_ino] = look.st_blocks * 512
    return sum(seen.values())
