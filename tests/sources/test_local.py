"""Folders of this machine, friendly and hostile."""

import hashlib
import logging
import os
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    InvalidReference,
    ModelHubError,
    RepositoryNotFound,
    RevisionNotFound,
    SourceError,
    UnsafePath,
)
from modelhub.facts import RepoFile
from modelhub.refs import ModelRef, RepoPath
from modelhub.sources.local import LocalSource, folder, repo_name
from modelhub.sources.testing import SourceContract, drain

CARD = b"""---
license: apache-2.0
pipeline_tag: text-generation
library_name: gguf
tags: [tiny, zoo]
---
# Hello
"""


def make(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return root


def describe(path, source=None):
    return (source or LocalSource()).describe(ModelRef.parse(Path(path)))


@pytest.fixture
def model(tmp_path):
    return make(
        tmp_path / "My model", {"README.md": CARD, "m.gguf": bytes(range(256)), "sub/c.json": b"{}"}
    )


class TestFolder(SourceContract):
    files: ClassVar = {
        "README.md": CARD,
        "weights/m.bin": bytes(i % 251 for i in range(100_000)),
        "empty": b"",
    }

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.root = make(tmp_path / "model", self.files)

    def make_source(self):
        return LocalSource()

    def reference(self):
        return ModelRef.parse(self.root)

    def missing_reference(self):
        return ModelRef.parse(self.root / "nothing")

    def content(self):
        return {path: (self.root / path).read_bytes() for path in self.files}


class TestFile(TestFolder):
    files: ClassVar = {"model.gguf": bytes(i % 251 for i in range(100_000))}

    def reference(self):
        return ModelRef.parse(self.root / "model.gguf")


class TestCacheSnapshot(TestFolder):
    """huggingface_hub's cache: one hop to the repository's blobs, two to those that it shares."""

    files: ClassVar = {"README.md": CARD, "weights/m.bin": bytes(i % 251 for i in range(100_000))}

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        cache = tmp_path / "hub"
        repo = cache / "models--Qwen--Tiny"
        self.root = repo / "snapshots" / ("a" * 40)
        make(repo / "blobs", {"b" * 40: self.files["README.md"]})
        make(cache / "blobs" / "cc", {"c" * 64: self.files["weights/m.bin"]})
        (repo / "blobs" / ("d" * 64)).symlink_to(f"../../blobs/cc/{'c' * 64}")
        (self.root / "weights").mkdir(parents=True)
        (self.root / "README.md").symlink_to(f"../../blobs/{'b' * 40}")
        (self.root / "weights" / "m.bin").symlink_to(f"../../../blobs/{'d' * 64}")

    def test_name_is_the_repository_s(self):
        assert describe(self.root).repo.name == "Tiny"

    def test_link_out_of_the_cache(self, tmp_path):
        (tmp_path / "secret").write_bytes(b"secret")
        (self.root / "x").symlink_to(tmp_path / "secret")
        with pytest.raises(UnsafePath, match="leads out"):
            describe(self.root)

    def test_link_to_another_repository_of_the_cache(self, tmp_path):
        make(tmp_path / "hub" / "models--Other--Private" / "blobs", {"e" * 64: b"secret"})
        (self.root / "x").symlink_to(f"../../../models--Other--Private/blobs/{'e' * 64}")
        with pytest.raises(UnsafePath, match="leads out"):
            describe(self.root)


def test_listing(model):
    os.utime(model / "m.gguf", ns=(0, 1_700_000_000_123_456_789))
    os.utime(model / "README.md", ns=(0, 1_600_000_000_000_000_000))
    os.utime(model / "sub" / "c.json", ns=(0, 1_500_000_000_000_000_001))
    listing = describe(model)
    assert listing.repo.id == "local/My-model"
    assert listing.revision == listing.default_branch == "main"
    assert [file.path for file in listing.files] == ["README.md", "m.gguf", "sub/c.json"]
    assert listing.source_uri == model.as_uri() == LocalSource().uri(ModelRef.parse(model))
    assert listing.license == "apache-2.0"
    assert listing.pipeline_tag == "text-generation"
    assert listing.library_name == "gguf"
    assert listing.tags == ("tiny", "zoo")
    assert listing.card["license"] == "apache-2.0"
    assert listing.last_modified is not None
    assert listing.last_modified.isoformat() == "2023-11-14T22:13:20+00:00"
    # The canonical manifest, written out.
    lines = [
        f"README.md\0{len(CARD)}\x001600000000000000000\n",
        "m.gguf\x00256\x001700000000123456789\n",
        "sub/c.json\x002\x001500000000000000001\n",
    ]
    assert listing.commit == hashlib.sha1("".join(lines).encode()).hexdigest()


def test_commit_follows_the_files(model):
    before = describe(model).commit
    os.utime(model / "m.gguf", ns=(1, 1))
    touched = describe(model).commit
    (model / "m.gguf").rename(model / "n.gguf")
    assert len({before, touched, describe(model).commit}) == 3


def test_hidden_folders_are_left_out_and_hidden_files_are_not(model):
    make(
        model,
        {".git/config": b"x", ".cache/huggingface/x": b"x", "a/.svn/y": b"x", ".gitattributes": b"x"},
    )
    paths = [file.path for file in describe(model).files]
    assert paths == [".gitattributes", "README.md", "m.gguf", "sub/c.json"]


def test_what_is_no_file_is_left_out(model):
    os.mkfifo(model / "pipe")
    assert "pipe" not in describe(model).by_path


@pytest.mark.parametrize("path", [".", "./", "sub/.."])
def test_relative_paths(model, monkeypatch, path):
    monkeypatch.chdir(model)
    assert describe(path) == describe(model)


def test_a_link_to_the_folder_is_the_folder(model, tmp_path):
    (tmp_path / "link").symlink_to(model)
    assert describe(tmp_path / "link") == describe(model)


def test_a_named_file_may_be_a_link(tmp_path):
    make(tmp_path, {"blobs/abc": b"weights", "named/other": b""})
    (tmp_path / "named" / "tiny.q4_0.gguf").symlink_to("../blobs/abc")
    source = LocalSource()
    listing = describe(tmp_path / "named" / "tiny.q4_0.gguf", source)
    assert listing.repo.name == "tiny.q4_0"
    assert [(file.path, file.size) for file in listing.files] == [("tiny.q4_0.gguf", 7)]
    assert source.read(listing, listing.files[0], 0, 99) == b"weights"


def test_links_inside_the_folder(model):
    (model / "alias.gguf").symlink_to("m.gguf")
    source = LocalSource()
    listing = describe(model, source)
    assert drain(source, listing, listing.by_path["alias.gguf"]) == bytes(range(256))


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd", "sub/../../secret"])
def test_link_out_of_the_folder(model, target):
    make(model.parent, {"secret": b"secret"})
    (model / "sub" / "x").symlink_to(target if target[0] == "/" else f"../{target}")
    with pytest.raises(UnsafePath, match="sub/x"):
        describe(model)


def test_link_to_a_folder(model):
    (model / "x").symlink_to("sub")
    with pytest.raises(UnsafePath, match="leads to a folder"):
        describe(model)


@pytest.mark.parametrize("target", ["nowhere", "x"])
def test_link_to_nowhere(model, target):
    (model / "x").symlink_to(target)
    with pytest.raises(FileNotInRepository, match="x cannot be read"):
        describe(model)


@pytest.mark.parametrize("name", ["aux.bin", "a:b", "back\\slash", "x ", os.fsdecode(b"\xff.bin")])
def test_hostile_names(model, name):
    make(model, {name: b"x"})
    with pytest.raises(UnsafePath):
        describe(model)


def test_names_that_collide(model):
    make(model, {"M.gguf": b"x"})
    with pytest.raises(UnsafePath, match="collide"):
        describe(model)


def test_file_swapped_for_a_link_after_the_listing(model, tmp_path):
    """The swap keeps size and time, so only the way of opening can notice it."""
    source = LocalSource()
    listing = describe(model, source)
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(256))
    status = (model / "m.gguf").stat()
    os.utime(secret, ns=(status.st_atime_ns, status.st_mtime_ns))
    (model / "m.gguf").unlink()
    (model / "m.gguf").symlink_to(secret)
    with pytest.raises(UnsafePath, match="leads out"):
        source.read(listing, listing.by_path["m.gguf"], 0, 1)


def test_a_file_that_turns_into_a_link_and_back_gives_no_other_bytes(model, tmp_path, rounds):
    source = LocalSource()
    secret, plain, place = tmp_path / "secret", tmp_path / "plain", model / "m.gguf"
    secret.write_bytes(b"s" * place.stat().st_size)
    plain.write_bytes(place.read_bytes())
    status = place.stat()
    for file in (secret, plain):
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    listing = describe(model, source)
    over = threading.Event()
    swapper = threading.Thread(target=_swap, args=(place, plain, secret, over))
    swapper.start()
    refused = 0
    try:
        for _ in range(rounds(500, 10_000)):
            try:
                found = source.read(listing, listing.by_path["m.gguf"], 0, 256)
                assert found == plain.read_bytes()
            except ModelHubError:
                refused += 1
    finally:
        over.set()
        swapper.join()
    assert refused < rounds(500, 10_000)  # the file itself was read, too


def _swap(place, plain, secret, over):
    """The regular file and a link out of its folder take turns under one name."""
    other = place.with_name(".other")
    while not over.is_set():
        other.symlink_to(secret)
        other.replace(place)
        os.link(plain, other)
        other.replace(place)
        other.unlink(missing_ok=True)


@pytest.mark.parametrize("owner", ["everybody", "stranger"])
def test_a_hard_link_in_a_folder_of_strangers(model, tmp_path, owner):
    """Who may write there could have planted it: it may be a file that only we can read."""
    source = LocalSource()
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(256))
    (model / "sub" / "planted.gguf").hardlink_to(secret)
    listing = describe(model, source)
    planted = listing.by_path["sub/planted.gguf"]
    assert source.read(listing, planted, 0, 1) == b"\0"  # in a folder of our own it is our own doing
    if owner == "everybody":
        (model / "sub").chmod(0o777)
    elif os.geteuid() == 0:
        os.chown(model / "sub", 12345, 12345)
    else:
        pytest.skip("only root can give a folder away")
    with pytest.raises(UnsafePath, match="hard link in a folder that others may write to"):
        source.read(listing, planted, 0, 1)
    secret.unlink()
    assert source.read(listing, planted, 0, 1) == b"\0"  # the only name that the file has


def test_folder_swapped_for_a_link_after_the_listing(model, tmp_path):
    source = LocalSource()
    listing = describe(model, source)
    (model / "sub").rename(tmp_path / "moved")
    (model / "sub").symlink_to(tmp_path / "moved")
    with pytest.raises(FileNotInRepository):
        source.read(listing, listing.by_path["sub/c.json"], 0, 1)


def test_pipe_in_place_of_a_file_does_not_block(model):
    source = LocalSource()
    listing = describe(model, source)
    (model / "m.gguf").unlink()
    os.mkfifo(model / "m.gguf")
    with pytest.raises(FileNotInRepository):
        source.read(listing, listing.by_path["m.gguf"], 0, 1)


def test_changed_before_it_is_read(model):
    source = LocalSource()
    listing = describe(model, source)
    file = listing.by_path["m.gguf"]
    status = (model / "m.gguf").stat()
    (model / "m.gguf").write_bytes(bytes(256))
    os.utime(model / "m.gguf", ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(SourceError, match=r"m\.gguf has changed"):
        source.read(listing, file, 0, 1)
    with pytest.raises(SourceError, match=r"m\.gguf has changed"):
        drain(source, listing, file)


def test_changed_while_it_is_read(model):
    source = LocalSource()
    listing = describe(model, source)
    with source.open(listing, listing.by_path["m.gguf"]) as stream:
        assert stream.readinto(memoryview(bytearray(100))) == 100
        os.utime(model / "m.gguf", ns=(5, 5))
        assert stream.readinto(memoryview(bytearray(100))) == 100
        with pytest.raises(SourceError, match="has changed"):
            stream.readinto(memoryview(bytearray(100)))


def test_changed_between_two_processes(model):
    listing = describe(model)
    os.utime(model / "README.md", ns=(5, 5))
    with pytest.raises(SourceError, match="has changed"):
        LocalSource().read(listing, listing.by_path["m.gguf"], 0, 1)


def test_listing_of_another_source(model):
    listing = describe(model).model_copy(update={"source_uri": "https://huggingface.co/a/b"})
    with pytest.raises(SourceError, match="no file address"):
        LocalSource().read(listing, RepoFile(path=RepoPath("m.gguf"), size=1), 0, 1)


def test_nothing_there(tmp_path):
    with pytest.raises(RepositoryNotFound, match=r"no folder or file .*/nothing") as caught:
        describe(tmp_path / "nothing")
    assert caught.value.details["path"] == str(tmp_path / "nothing")


def test_neither_folder_nor_file():
    with pytest.raises(RepositoryNotFound):
        describe("/dev/null")


def test_empty_folder(tmp_path):
    with pytest.raises(RepositoryNotFound, match="holds no files"):
        describe(tmp_path)


def test_no_path():
    with pytest.raises(InvalidReference, match="names no path"):
        LocalSource().describe(ModelRef("x", source="local"))


def test_no_revisions(model):
    with pytest.raises(RevisionNotFound, match="has no revision v1"):
        LocalSource().describe(ModelRef("x", revision="v1", path=str(model)))


def test_too_many_files(model, monkeypatch):
    monkeypatch.setattr(folder, "MAX_ENTRIES", 3)
    with pytest.raises(SourceError, match="more than 3 files"):
        describe(model)


def test_too_deep(model, monkeypatch):
    monkeypatch.setattr(folder, "MAX_DEPTH", 2)
    make(model, {"a/b/c": b""})
    assert "a/b/c" in describe(model).by_path
    make(model, {"a/b/c2/d": b""})
    with pytest.raises(SourceError, match="deeper than 2"):
        describe(model)


@contextmanager
def stranger():
    """Be a user who owns nothing, if the tests run as root (whom permissions do not hold)."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder():
    # Not tmp_path, which is for its owner alone.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield make(Path(name) / "model", {"a.bin": b"x", "sub/b.bin": b"y"})


def test_folder_that_may_not_be_read(open_folder):
    (open_folder / "sub").chmod(0)
    with stranger(), pytest.raises(AccessDenied, match="sub cannot be read"):
        describe(open_folder)
    open_folder.chmod(0)
    with stranger(), pytest.raises(AccessDenied, match="cannot be read"):
        describe(open_folder)
    open_folder.chmod(0o755)
    (open_folder / "sub").chmod(0o755)


def test_file_that_may_not_be_read(open_folder):
    (open_folder / "a.bin").chmod(0)
    source = LocalSource()
    with stranger():
        listing = describe(open_folder, source)
        with pytest.raises(AccessDenied, match=r"a\.bin cannot be read"):
            source.read(listing, listing.by_path["a.bin"], 0, 1)


def test_card_that_is_broken_is_left_out(model, caplog):
    (model / "README.md").write_bytes(b"---\nlicense: [\n---\n")
    with caplog.at_level(logging.WARNING):
        listing = describe(model)
    assert listing.card == {}
    assert "is no YAML" in caplog.text


@settings(deadline=None)
@given(st.text(max_size=150))
def test_any_name_becomes_a_reference(name):
    legal = repo_name(name)
    assert ModelRef.parse(f"local/{legal}") == ModelRef(legal, "local")
    assert repo_name(legal) == legal
