"""Where the kernel can seal files, every blob that is published is sealed, and is used as before."""

import errno
import os
import struct
from io import BytesIO
from pathlib import Path

import pytest

from modelhub.refs import Digest, RepoPath
from modelhub.store import FileLedger, Store, StoreOptions
from modelhub.store import fsops as system
from modelhub.store.fsops import FsOps
from modelhub.store.testing import COMMIT, pattern, promise, put
from tests.store.hands import names


class Sealing(FsOps):
    """A file system with fs-verity: it seals what nobody can write, and the seal moves the change time."""

    def __init__(self):
        self.sealed = set()
        self.refusal = None

    def enable_verity(self, fd):
        if self.refusal:
            raise OSError(self.refusal, os.strerror(self.refusal))
        look = os.fstat(fd)
        for number in Path("/proc/self/fd").iterdir():
            try:
                other = os.fstat(int(number.name))
                flags = system.fcntl.fcntl(int(number.name), system.fcntl.F_GETFL)
            except OSError:
                continue  # the listing's own
            if (other.st_dev, other.st_ino) == (look.st_dev, look.st_ino) and flags & os.O_ACCMODE:
                raise OSError(errno.ETXTBSY, os.strerror(errno.ETXTBSY))
        if look.st_ino in self.sealed:
            raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.fchmod(fd, look.st_mode & 0o777)  # moves the change time
        self.sealed.add(look.st_ino)


@pytest.fixture
def ops():
    return Sealing()


@pytest.fixture
def sealing(tmp_path, ledger, ops):
    with Store.open(tmp_path / "store", ledger, ops=ops) as store:
        ops.sealed.clear()
        yield store


def is_sealed(store, ops, digest):
    return store.path(digest).stat().st_ino in ops.sealed


def receive(store, data):
    digest = Digest.of(data)
    with store.receive(promise(data)) as part:
        for start, end in part.missing:
            part.write(start, memoryview(data)[start:end])
        part.finish(lambda: None)
    return digest


def batch(store, data):
    with store.batch() as group:
        group.put(BytesIO(data), expect=promise(data))
    return Digest.of(data)


@pytest.mark.parametrize("way", [lambda store, data: put(store, data).digest, receive, batch])
def test_every_published_blob_is_sealed_and_proven(sealing, ops, ledger, way):
    digest = way(sealing, pattern(200_000))
    assert is_sealed(sealing, ops, digest)
    hashed = []
    sealing.verify([digest], on_bytes=hashed.append)
    assert hashed == []  # the seal moved its change time, and its proof holds
    linked = sealing.link("v", "n", COMMIT, {RepoPath("m.gguf"): digest})
    assert [file.link for file in linked.files] == ["hardlink"]
    sealing.verify([digest], "full")


def test_it_is_tried_once(sealing, ops):
    assert sealing.capabilities.verity
    assert "verity" in str(sealing.capabilities).partition(";")[0]
    put(sealing, pattern(10))
    put(sealing, pattern(20))
    assert len(ops.sealed) == 2
    assert names(sealing.root / "tmp") == []


def test_it_can_be_left_off(tmp_path, ledger, ops):
    with Store.open(tmp_path / "off", ledger, ops=ops, options=StoreOptions(fs_verity=False)) as store:
        ops.sealed.clear()
        assert put(store, pattern(200_000)).size == 200_000
        assert store.capabilities.verity
        assert not ops.sealed


@pytest.mark.parametrize("code", [errno.ENOTTY, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM])
def test_a_file_system_without_it_is_no_failure(tmp_path, ledger, ops, code):
    ops.refusal = code
    with Store.open(tmp_path / "store", ledger, ops=ops) as store:
        ops.refusal = None
        assert not store.capabilities.verity
        put(store, pattern(200_000))
        assert not ops.sealed


def test_a_refusal_is_logged_and_the_blob_counts(sealing, ops, caplog):
    ops.refusal = errno.ENOSPC
    digest = put(sealing, pattern(200_000)).digest
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "artifact_not_sealed"
    ]
    assert sealing.verify([digest])[digest].size == 200_000


def test_what_the_kernel_is_asked(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(system.fcntl, "ioctl", lambda *given: asked.append(given))
    FsOps().enable_verity(7)
    ((fd, request, argument),) = asked
    # _IOW('f', 133, struct fsverity_enable_arg): direction 1, size, type, number.
    assert (fd, request) == (7, 1 << 30 | len(argument) << 16 | ord("f") << 8 | 133)
    assert len(argument) == 128
    assert struct.unpack_from("=4I", argument) == (1, 1, 4096, 0)
    assert not any(argument[16:])


def test_the_file_system_here_says_what_it_can(tmp_path):
    """The probe agrees with a trial by hand, whatever this machine's kernel has."""
    path = tmp_path / "by-hand"
    path.write_bytes(b"")
    fd = os.open(path, os.O_RDONLY)
    try:
        FsOps().enable_verity(fd)
        can, code = True, None
    except OSError as error:
        can, code = False, error.errno
    finally:
        os.close(fd)
    assert can or code in system.CANNOT
    ledger = FileLedger(tmp_path / "own.jsonl")
    with Store.open(tmp_path / "real", ledger) as store:
        assert store.capabilities.verity is can
        put(store, pattern(1000))
    ledger.close()
