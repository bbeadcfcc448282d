import os.path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.errors import InvalidInput, UnsafePath
from modelhub.refs import Digest, RepoPath
from modelhub.store import layout
from modelhub.store.layout import LinkMode

digests = st.binary(max_size=8).map(Digest.of)
names = st.text(min_size=1, max_size=20)
parts = st.from_regex(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,12}[A-Za-z0-9_-]", fullmatch=True)


def paths():
    def safe(text):
        try:
            RepoPath(text)
        except UnsafePath:
            return False
        return True

    return st.lists(parts, min_size=1, max_size=5).map("/".join).filter(safe).map(RepoPath)


@given(digests)
def test_a_blob_s_path_is_made_of_its_digest_alone(digest):
    assert layout.blob_path(digest) == f"blobs/sha256/{digest[:2]}/{digest}"
    with pytest.raises(InvalidInput):
        Digest(f"../{digest}")


@given(st.text(max_size=20), names, names)
def test_a_snapshot_s_folder_stays_below_snapshots(vendor, name, commit):
    folder = layout.snapshot_folder(vendor, name, commit)
    assert RepoPath(folder) == folder
    assert len(folder.split("/")) == 3
    assert os.path.normpath(f"/s/{folder}") == f"/s/{folder}"
    assert not folder.startswith("."), "a name of the store's own"


@given(st.text(max_size=6), names, st.text(max_size=6), names)
def test_different_repositories_have_different_folders(vendor, name, other_vendor, other_name):
    if (vendor, name) != (other_vendor, other_name):
        one = layout.snapshot_folder(vendor, name, "c")
        assert one != layout.snapshot_folder(other_vendor, other_name, "c")


@pytest.mark.parametrize(
    ("vendor", "name", "folder"),
    [
        ("Qwen", "Qwen3-0.6B-GGUF", "Qwen/Qwen3-0.6B-GGUF"),
        ("", "gpt2", "_/gpt2"),
        ("_", "gpt2", "__/gpt2"),
        (".tmp", "x", "_.tmp/x"),
        ("a/..", "..", "a%2F.%2E/.%2E"),
        ("con", ".git", "%63on/%2Egit"),
        ("通义", "模型", "通义/模型"),
        ("a%2Fb", "c:d", "a%252Fb/c%3Ad"),
    ],
)
def test_folders_of_repositories(vendor, name, folder):
    assert layout.snapshot_folder(vendor, name, "c0ffee") == f"{folder}/c0ffee"


@pytest.mark.parametrize(("name", "commit"), [("", "c"), ("n", ""), ("n" * 300, "c")])
def test_names_that_no_system_can_hold_are_refused(name, commit):
    with pytest.raises(UnsafePath):
        layout.snapshot_folder("v", name, commit)


@given(st.text(max_size=5), names, paths(), digests)
def test_a_link_s_target_is_the_blob(vendor, name, path, digest):
    folder = layout.snapshot_folder(vendor, name, "c0ffee")
    link = f"/root/snapshots/{folder}/{path}"
    target = link.rpartition("/")[0] + "/" + layout.symlink_target(folder, path, digest)
    assert os.path.normpath(target) == f"/root/{layout.blob_path(digest)}"


BIG = 10_000_000
OWN_INODE = (LinkMode.REFLINK, LinkMode.COPY)
SHARED = (LinkMode.HARDLINK, LinkMode.SYMLINK, LinkMode.REFLINK, LinkMode.COPY)


@pytest.mark.parametrize(
    ("path", "size", "ways"),
    [
        ("config.json", 900, (LinkMode.COPY,)),
        ("model.gguf", layout.SMALL - 1, (LinkMode.COPY,)),
        ("model.gguf", layout.SMALL, SHARED),
        ("tokenizer.json", BIG, SHARED),
        ("onnx/Model.ONNX", BIG, OWN_INODE),
        ("x/model.onnx_data", BIG, OWN_INODE),
        ("x/model.onnx_data_12", BIG, OWN_INODE),
        ("x/model.onnx.data", BIG, OWN_INODE),
        ("onnx/weights.data", BIG, OWN_INODE),
        ("onnx/weights.pb", BIG, OWN_INODE),
        ("onnx/onnx__MatMul_7", BIG, OWN_INODE),
        ("onnx/model.safetensors", BIG, SHARED),
        ("weights.data", BIG, SHARED),
    ],
)
def test_files_are_linked_by_kind(path, size, ways):
    tree = [RepoPath(path), RepoPath("onnx/model.onnx"), RepoPath("README.md")]
    assert layout.link_modes(RepoPath(path), size, layout.onnx_folders(tree)) == ways


@given(paths(), st.integers(0, 1 << 40), st.booleans())
def test_there_is_always_a_way(path, size, beside):
    ways = layout.link_modes(path, size, {path.folder} if beside else set())
    assert ways[-1] is LinkMode.COPY
    assert len(set(ways)) == len(ways)
