import gzip
import io
import json
import pickle
import zipfile

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


def numpy_file() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


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
        (numpy_file(), Content.NUMPY),
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
