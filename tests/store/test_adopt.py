"""Adopting files of other folders: the right ones, and never any other."""

import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelhub.errors import (
    AccessDenied,
    Cancelled,
    IntegrityError,
    InvalidInput,
    StoreUnavailable,
    UnsafePath,
)
from modelhub.refs import Digest
from modelhub.store import Expected, Store, StoreOptions
from modelhub.store.fsops import FsOps
from tests.refs.test_path import BAD

GOOD = b"weights " * 40_000
SECRET = b"root:x:0:0"
MODES = ["auto", "copy", "hardlink"]


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "cache"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "model.gguf").write_bytes(GOOD)
    return folder


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


def blobs(store):
    return sorted(one.name for one in (store.root / "blobs").rglob("*") if not one.is_dir())


def names(store, folder):
    return [one.name for one in (store.root / folder).iterdir()]


def nothing_was_kept(store):
    return blobs(store) == names(store, "tmp") == []


@pytest.mark.parametrize("mode", MODES)
def test_a_file_becomes_a_blob_and_stays_where_it_is(store, source, mode):
    file = source / "a" / "model.gguf"
    file.chmod(0o640)
    expect = Expected(sha256=Digest.of(GOOD), size=len(GOOD), name="model.gguf")
    seen = []
    record = store.adopt("a/model.gguf", expect, root=source, mode=mode, on_bytes=seen.append)
    assert record.digest == Digest.of(GOOD)
    assert record.size == len(GOOD) == sum(seen)
    assert store.verify([record.digest], "full")
    assert store.path(record.digest).read_bytes() == file.read_bytes() == GOOD
    assert store.path(record.digest).samefile(file) == (mode == "hardlink")
    assert names(store, "tmp") == []


@pytest.mark.parametrize("mode", MODES)
def test_what_was_adopted_needs_no_second_reading(store, source, mode, spy):
    old = 1_000_000_000 * 10**9
    os.utime(source / "a" / "model.gguf", ns=(old, old))
    record = store.adopt(source / "a" / "model.gguf", mode=mode)
    spy.counts.clear()
    assert store.verify([record.digest])[record.digest].size == len(GOOD)
    assert spy.counts["pread"] == 0


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "expect",
    [
        Expected(sha256=Digest.of(b"other"), name="model.gguf"),
        Expected(size=len(GOOD) - 1, name="model.gguf"),
        Expected(git_oid="0" * 40, name="model.gguf"),
    ],
    ids=["sha256", "size", "git"],
)
def test_other_bytes_than_promised_are_not_kept(store, source, mode, expect):
    with pytest.raises(IntegrityError):
        store.adopt("a/model.gguf", expect, root=source, mode=mode)
    assert nothing_was_kept(store)
    assert (source / "a" / "model.gguf").read_bytes() == GOOD


def test_git_names_a_small_file(store, source):
    (source / "x").write_bytes(b"hello\n")
    oid = "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert store.adopt("x", Expected(git_oid=oid), root=source).digest == Digest.of(b"hello\n")


def test_an_empty_file_is_a_file(store, source):
    (source / "empty").touch()
    record = store.adopt("empty", root=source)
    assert (record.size, record.digest) == (0, Digest.of(b""))


@pytest.mark.parametrize("mode", MODES)
def test_bytes_that_are_here_already_are_not_stored_again(store, source, mode):
    first = store.adopt("a/model.gguf", root=source)
    assert store.adopt("a/model.gguf", root=source, mode=mode).digest == first.digest
    assert blobs(store) == [first.digest]


def test_a_hard_link_is_the_file_and_its_owners_writing_shows(store, source):
    file = source / "a" / "model.gguf"
    record = store.adopt("a/model.gguf", root=source, mode="hardlink")
    assert file.stat().st_mode & 0o777 == 0o444, "it is ours, and read-only now"
    file.chmod(0o644)
    with file.open("r+b") as out:
        out.write(b"X")
    with pytest.raises(IntegrityError):
        store.verify([record.digest])
    assert file.exists()


def test_an_old_file_is_not_swept_while_it_is_adopted(store, source, tmp_path):
    """Another process opens the store, and takes away what was last written long ago by who is dead."""
    old = 1_000_000_000 * 10**9
    os.utime(source / "a" / "model.gguf", ns=(old, old))
    swept = []

    def check():
        swept.append(store.sweep(0))

    record = store.adopt("a/model.gguf", root=source, mode="hardlink", check=check)
    assert set(swept) == {0}
    assert store.path(record.digest).samefile(source / "a" / "model.gguf")
    again = store.adopt("a/model.gguf", root=source, mode="hardlink", trusted=True)
    assert again.digest == record.digest, "it does not wait for itself"


def test_a_file_of_another_owner_keeps_its_mode(store, source):
    if os.geteuid() != 0:
        pytest.skip("giving a file away needs root")
    file = source / "a" / "model.gguf"
    file.chmod(0o664)
    os.chown(file, 12345, 12345)
    before = file.stat()
    record = store.adopt("a/model.gguf", root=source, mode="hardlink")
    after = file.stat()
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert store.verify([record.digest])


class NoLinks(FsOps):
    """A file system that has no links at all, as FAT."""

    def reflink(self, source, target):
        raise OSError(95, "Operation not supported")

    def link(self, source, target, *, source_fd, target_fd):
        raise PermissionError(1, "Operation not permitted")


def test_a_mode_that_cannot_be_is_refused_and_auto_copies(tmp_path, ledger, source):
    with Store.open(tmp_path / "fat", ledger, ops=NoLinks()) as store:
        for mode in ("hardlink", "reflink"):
            with pytest.raises(StoreUnavailable, match=mode):
                store.adopt("a/model.gguf", root=source, mode=mode)
        assert nothing_was_kept(store)
        assert store.adopt("a/model.gguf", root=source).digest == Digest.of(GOOD)


class Cloning(FsOps):
    """Clones as a file system with reflinks does; here the bytes are copied."""

    def reflink(self, source, target):
        os.sendfile(target, source, 0, os.fstat(source).st_size)


@pytest.mark.parametrize("mode", ["auto", "reflink"])
def test_a_clone_is_hashed_too(tmp_path, ledger, source, mode):
    with Store.open(tmp_path / "xfs", ledger, ops=Cloning()) as store:
        with pytest.raises(IntegrityError):
            store.adopt("a/model.gguf", Expected(sha256=Digest.of(b"")), root=source, mode=mode)
        assert nothing_was_kept(store)
        record = store.adopt("a/model.gguf", root=source, mode=mode)
        assert record.digest == Digest.of(GOOD)
        assert store.path(record.digest).read_bytes() == GOOD


# Names


@pytest.mark.parametrize("name", BAD, ids=ascii)
def test_names_that_could_do_harm_are_refused(store, source, name):
    with pytest.raises(UnsafePath):
        store.adopt(name, root=source)
    assert nothing_was_kept(store)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(st.sampled_from(["..", ".", "", "a", "secret", "cache", "\\", "C:"]), st.text()),
        min_size=1,
        max_size=6,
    )
)
def test_no_name_leads_out_of_the_root(store, source, secret, parts):
    name = "/".join(parts)
    try:
        record = store.adopt(name, root=source)
    except InvalidInput:
        return
    assert record.digest == Digest.of(GOOD), ascii(name)
    assert blobs(store) == [Digest.of(GOOD)]


@pytest.mark.parametrize("given", [{"mode": "move"}, {"mode": ""}])
def test_an_unknown_mode_is_refused(store, source, given):
    with pytest.raises(InvalidInput, match="mode"):
        store.adopt("a/model.gguf", root=source, **given)


def test_what_is_not_there_is_refused(store, source, tmp_path):
    with pytest.raises(InvalidInput, match="nothing"):
        store.adopt("a/nothing", root=source)
    with pytest.raises(InvalidInput, match="nowhere"):
        store.adopt("a", root=tmp_path / "nowhere")


def test_what_may_not_be_read_is_refused(tmp_path, ledger, source):
    class Forbidding(FsOps):
        def open(self, path, flags, mode=0o600, *, dir_fd=None):
            if path == "model.gguf":
                raise PermissionError(13, "Permission denied")
            return super().open(path, flags, mode, dir_fd=dir_fd)

    with Store.open(tmp_path / "s", ledger, ops=Forbidding()) as store, pytest.raises(AccessDenied):
        store.adopt("a/model.gguf", root=source)


# Links, pipes and folders


@pytest.mark.parametrize("mode", MODES)
def test_only_a_regular_file_is_adopted(store, source, secret, mode):
    (source / "link").symlink_to(secret)
    (source / "inner").symlink_to(source / "a")
    (source / "loop").symlink_to("loop")
    os.mkfifo(source / "pipe")
    for name in ("link", "inner/model.gguf", "loop", "pipe", "a", "a/model.gguf/x"):
        with pytest.raises(UnsafePath):
            store.adopt(name, root=source, mode=mode)
    assert nothing_was_kept(store)


@pytest.mark.parametrize("mode", MODES)
def test_a_planted_hard_link_is_refused_unless_the_folder_is_trusted(store, source, secret, mode):
    os.link(secret, source / "planted")
    with pytest.raises(UnsafePath, match="2 names"):
        store.adopt("planted", root=source, mode=mode)
    assert nothing_was_kept(store)
    assert store.adopt("planted", root=source, mode=mode, trusted=True).size == len(SECRET)


class Swapping(FsOps):
    """Puts a link to `target` in the file's place just before one call."""

    def __init__(self, call, place, target):
        self.call, self.place, self.target, self.done = call, place, target, False

    def _swap(self, call, name):
        if not self.done and (call, name) == (self.call, self.place.name):
            self.done = True
            self.place.unlink()
            self.place.symlink_to(self.target)

    def open(self, path, flags, mode=0o600, *, dir_fd=None):
        self._swap("open", path)
        return super().open(path, flags, mode, dir_fd=dir_fd)

    def reflink(self, source, target):
        self._swap("reflink", self.place.name)
        return super().reflink(source, target)

    def link(self, source, target, *, source_fd, target_fd):
        self._swap("link", source)
        return super().link(source, target, source_fd=source_fd, target_fd=target_fd)


@pytest.mark.parametrize(
    ("mode", "call", "error"),
    [
        ("auto", "open", UnsafePath),
        ("auto", "reflink", None),
        ("hardlink", "open", UnsafePath),
        ("hardlink", "link", IntegrityError),
    ],
)
def test_a_link_that_takes_the_files_place_is_not_followed(
    tmp_path, ledger, source, secret, mode, call, error
):
    ops = Swapping(call, source / "a" / "model.gguf", secret)
    with Store.open(tmp_path / "s", ledger, ops=ops) as store:
        if error is None:
            assert store.adopt("a/model.gguf", root=source, mode=mode).digest == Digest.of(GOOD)
        else:
            with pytest.raises(error):
                store.adopt("a/model.gguf", root=source, mode=mode)
            assert nothing_was_kept(store)
        assert ops.done
    assert secret.stat().st_nlink == 1


class Swapper(threading.Thread):
    """Puts links to others in the place of a file and of a folder, and back, until it is stopped."""

    def __init__(self, source, secret):
        super().__init__()
        self.source, self.secret = source, secret
        self.swaps, self.stopped = 0, threading.Event()
        (source / "good").write_bytes(b"small")
        (source / "folder").mkdir()
        (source / "folder" / "model.gguf").write_bytes(b"inner")
        self.evil = secret.parent / "evil"
        self.evil.mkdir()
        (self.evil / "model.gguf").write_bytes(SECRET)

    def run(self):
        folder, aside, spare = (self.source / name for name in ("folder", ".folder", ".spare"))
        while not self.stopped.is_set():
            spare.symlink_to(self.secret)
            spare.replace(self.source / "model.gguf")
            folder.rename(aside)
            folder.symlink_to(self.evil)
            folder.unlink()
            spare.hardlink_to(self.source / "good")
            spare.replace(self.source / "model.gguf")
            aside.rename(folder)
            self.swaps += 4

    def __exit__(self, *exc):
        self.stopped.set()
        self.join()

    def __enter__(self):
        self.start()
        return self


def test_no_foreign_byte_in_a_race(store, source, secret, rounds):
    allowed = {Digest.of(b"small"), Digest.of(b"inner")}
    wanted, tries = rounds(500, 10_000), 0
    with Swapper(source, secret) as swapper:
        while min(swapper.swaps, tries) < wanted:
            name = ("model.gguf", "folder/model.gguf")[tries % 2]
            mode = MODES[tries % 3]
            tries += 1
            try:
                assert store.adopt(name, root=source, mode=mode, trusted=True).digest in allowed
            except (InvalidInput, IntegrityError):
                continue
    assert set(blobs(store)) <= allowed
    for digest in blobs(store):
        assert store.read(Digest(digest), 100) in (b"small", b"inner")
    assert names(store, "tmp") == names(store, "quarantine") == []
    assert secret.stat().st_nlink == 1


@pytest.mark.parametrize("mode", MODES)
def test_it_can_be_stopped(store, source, mode):
    def check():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        store.adopt("a/model.gguf", root=source, mode=mode, check=check)
    assert nothing_was_kept(store)


def test_a_remote_store_adopts_into_its_bucket(tmp_path, ledger, source):
    options = StoreOptions(cache=tmp_path / "cache-here")
    with Store.open("memory://adopting", ledger, options=options) as store:
        record = store.adopt("a/model.gguf", root=source)
    with Store.open(
        "memory://adopting", ledger, options=StoreOptions(cache=tmp_path / "other-host")
    ) as store:
        assert store.read(record.digest, len(GOOD)) == GOOD
