"""What several tests of a Hub do to it, and around it."""

import os
import time

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded
from modelhub.store.fsops import FsOps


def still(monkeypatch, path):
    """A disk that loses bits of this file, and moves no time."""
    old = os.lstat(path)

    def fstat(ops, fd):
        look = os.fstat(fd)
        return old if look.st_ino == old.st_ino else look

    def lstat(ops, name, *, dir_fd=None):
        look = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        return old if look.st_ino == old.st_ino else look

    monkeypatch.setattr(FsOps, "fstat", fstat)
    monkeypatch.setattr(FsOps, "lstat", lstat)


def end_checks_early(hub, *, deep):
    """By its callback and by its timeout; each says so, and leaves the store as it is."""

    def stop(_):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        hub.store.check(deep=deep, progress=stop)
    with pytest.raises(DeadlineExceeded):
        hub.store.check(deep=deep, timeout=0.01, progress=lambda _: time.sleep(0.02))
