import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile
import zlib

import numpy as np
import pytest
from safetensors.numpy import save

from modelhub.formats import Content, sniff

from .build import small_gguf


class Canary:
    def __reduce__(self):
        return print, ("the pickle was loaded",)


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as written:
        for name in names:
            written.writestr(name, b"x")
    return file.getvalue()


def numpy_file(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def tar(kind: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=kind) as written:
        member = tarfile.TarInfo("sys_info")
        member.size = 3
        written.addfile(member, io.BytesIO(b"abc"))
    return file.getvalue()


def old_tar() -> bytes:
    """As Unix version 7 wrote it, without the magic that later kinds have."""
    head = bytearray(tar(tarfile.USTAR_FORMAT)[:512])
    head[257:] = bytes(255)
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + bytes(512)


@pytest.mark.parametrize(
    ("head", "content"),
    [
        (bytes(small_gguf()), Content.GGUF),
        (save({"a": np.zeros(3)}), Content.SAFETENSORS),
        (b"\x08\x08\x12\x07pytorch\x1a\x051.0.0", Content.ONNX),
        (archive("archive/data.pkl", "archive/version"), Content.TORCH),
        (archive("weights.npy"), Content.ZIP),
        (archive(), Content.ZIP),
        (gzip.compress(b"x", mtime=0), Content.GZIP),
        (bz2.compress(b"x"), Content.COMPRESSED),
        (lzma.compress(b"x"), Content.COMPRESSED),
        (lzma.compress(b"x", lzma.FORMAT_ALONE), Content.COMPRESSED),
        (b"7z\xbc\xaf\x27\x1c\0\4", Content.COMPRESSED),
        *((zlib.compress(b"x", level), Content.COMPRESSED) for level in (0, 3, 6, 9)),
        *((tar(kind), Content.TAR) for kind in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT)),
        (tar(tarfile.PAX_FORMAT), Content.TAR),
        (old_tar(), Content.TAR),
        (b"." * 512, Content.UNKNOWN),
        (numpy_file([0.0, 1.0]), Content.NUMPY),
        (numpy_file([Canary()]), Content.NUMPY_OBJECT),
        (numpy_file(np.zeros(2, [("a", "<f4"), ("b", "O")])), Content.NUMPY_OBJECT),
        (b"\x89HDF\r\n\x1a\n\0\0", Content.HDF5),
        (b"tjgg\x03\0\0\0", Content.GGML),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", Content.LFS_POINTER),
        (json.dumps({"model_type": "llama"}).encode(), Content.JSON),
        (b"  [\n 1, 2]", Content.JSON),
        (b"\n<!DOCTYPE html><html>", Content.HTML),
        (b"<HTML lang=en>", Content.HTML),
        (b"", Content.UNKNOWN),
        (b"plain text, (perhaps) a card", Content.UNKNOWN),
        (b"(listen to this)", Content.UNKNOWN),
        (b"could be\nanything\n", Content.UNKNOWN),
        (bytes(100), Content.UNKNOWN),
    ],
)
def test_content_by_its_first_bytes(head, content):
    assert sniff(head) is content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value", [Canary(), {"a": 1}, [1, 2], {}, print], ids=["canary", "dict", "list", "empty", "global"]
)
def test_a_pickle_of_any_protocol_is_one(value, protocol):
    assert sniff(pickle.dumps(value, protocol)) is Content.PICKLE


@pytest.mark.parametrize("old", [False, True])
def test_what_torch_saves_is_torchs(tmp_path, old):
    torch = pytest.importorskip("torch", reason="no PyTorch for this Python")
    file = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.zeros(3)}, file, _use_new_zipfile_serialization=not old)
    assert sniff(file.read_bytes()) is (Content.PICKLE if old else Content.TORCH)
