"""A name with other content than it says, and a header that is not what it was."""

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from modelhub.errors import FormatError
from modelhub.formats import PICKLE_SUFFIXES, Content, check_claim

from .build import small_gguf
from .test_sniff import archive, numpy_file, old_tar

SAFE = save({"a": np.zeros(3)})


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


def claim(name: str, data: bytes, **how: bool) -> Content:
    return check_claim(name, lambda start, end: data[start:end], len(data), **how)


def test_what_is_what_it_says() -> None:
    assert claim("a/model.safetensors", SAFE) is Content.SAFETENSORS
    assert claim("MODEL.GGUF", bytes(small_gguf())) is Content.GGUF
    assert claim("pytorch_model.bin", archive("archive/data.pkl"), pickled=True) is Content.TORCH
    assert claim("model.bin", bytes(100)) is Content.UNKNOWN
    assert claim("config.json", b"{}") is Content.JSON


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("suffix", [".safetensors", ".gguf", ".onnx", *PICKLE_SUFFIXES])
def test_a_pickle_under_another_name_is_told_and_not_loaded(
    tmp_path: Path, suffix: str, protocol: int
) -> None:
    canary = tmp_path / "ran"
    data = pickle.dumps(Canary(canary), protocol)
    with pytest.raises(FormatError, match="and is a pickle, which can run code") as caught:
        claim(f"model{suffix}", data)
    assert caught.value.details["found"] == "pickle"
    assert not canary.exists()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (archive("archive/data.pkl"), "a pickle in PyTorch's archive"),
        (archive("a.txt"), "a zip archive"),
        (old_tar(), "a tar archive"),
        (numpy_file([{}]), "an array of pickled objects"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a Git LFS pointer"),
        (b"<!doctype html>", "a web page"),
        (b"\x89HDF\r\n\x1a\n\0", "HDF5"),
    ],
)
@pytest.mark.parametrize("suffix", [".safetensors", ".gguf", ".onnx"])
def test_every_other_content_is_told(suffix: str, data: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=f"it should be {suffix[1:]}, and is {said}"):
        claim(f"model{suffix}", data)


@pytest.mark.parametrize("data", [SAFE, bytes(small_gguf()), archive("a.txt"), old_tar(), b"", bytes(9)])
def test_only_pickles_are_loaded_as_pickles(data: bytes) -> None:
    with pytest.raises(FormatError, match="it should be PyTorch's pickle"):
        claim("pytorch_model.bin", data, pickled=True)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("model.safetensors", (1 << 40).to_bytes(8, "little") + SAFE[8:]),
        ("model.safetensors", SAFE + b"x"),
        ("model.safetensors", b""),
        ("model.gguf", bytes(small_gguf())[:-1]),
        ("model.gguf", bytes(small_gguf())[:24]),
        ("model.onnx", b"\x08\x08"),
    ],
)
def test_the_whole_header_is_read(name: str, data: bytes) -> None:
    with pytest.raises(FormatError, match=f"^{name}: "):
        claim(name, data)
