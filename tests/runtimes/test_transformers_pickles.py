"""Weights in pickles: as plain tensors, or, trusted, as what they make of themselves in another process."""

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from modelhub.errors import LoadFailed, PickleRefused
from modelhub.facts import Call
from modelhub.refs import Digest
from modelhub.runtimes.base import Bundle
from modelhub.runtimes.hosts import Hosts
from modelhub.runtimes.testing import Subject
from modelhub.runtimes.transformers import TransformersRuntime
from modelhub.tasks import chat_request
from tests.runtimes.torch_folders import copy, dense, embed, pulled, with_modules
from tests.zoo.embed_oracle import Oracle
from tests.zoo.repos import chat_answers

torch = pytest.importorskip("torch", reason="no PyTorch for this Python")


class Canary:
    """Makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def pickled(folder: Path, *, old: bool = False, **more: object) -> Path:
    """The folder with its safetensors as a pickle, which has `more` in it; gives the pickle."""
    from safetensors.torch import load_file

    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    weights.unlink()
    file = weights.with_name("pytorch_model.bin")
    torch.save({**tensors, **more}, file, _use_new_zipfile_serialization=not old)
    return file


def with_digests(bundle: Bundle, *trusted: Path) -> Bundle:
    """The bundle with the digests of its pickles known, and these of them trusted."""
    parts = tuple(
        part.model_copy(
            update={
                "files": tuple(
                    file.model_copy(update={"sha256": Digest.of((root / file.path).read_bytes())})
                    for file in part.files
                )
            }
        )
        for part, root in ((part, bundle.roots[part.name]) for part in bundle.variant.components)
    )
    digests = frozenset(Digest.of(path.read_bytes()) for path in trusted)
    variant = bundle.variant.model_copy(update={"components": parts})
    return replace(bundle, variant=variant, trusted=digests)


def answers(bundle: Bundle, host: str = "thread") -> bool:
    case, instance = chat_answers()[0], Subject(TransformersRuntime(), bundle).load(host)
    try:
        reply: Any = instance.infer(chat_request(case.messages, temperature=0), Call())
        return bool(reply.text == case.answer)
    finally:
        instance.close()


@pytest.mark.parametrize("old", [False, True])
def test_plain_tensors_are_loaded(tmp_path: Path, old: bool) -> None:
    folder = copy(tmp_path)
    pickled(folder, old=old, epoch=3)
    assert pulled(folder).variant.format == "pytorch"
    assert answers(pulled(folder))


def test_shards(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    whole = pickled(folder)
    tensors = torch.load(whole, weights_only=True)
    whole.unlink()
    names, where = sorted(tensors), {}
    for number, some in enumerate((names[::2], names[1::2]), 1):
        file = f"pytorch_model-{number:05}-of-00002.bin"
        torch.save({name: tensors[name] for name in some}, folder / file)
        where |= dict.fromkeys(some, file)
    index = folder / "pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": where}))
    assert answers(pulled(folder))
    bundle = pulled(folder)
    index.write_text(json.dumps({"metadata": {}, "weight_map": {names[0]: "other.bin"}}))
    with pytest.raises(LoadFailed, match=r"names other\.bin"):
        answers(bundle)


@pytest.mark.parametrize("old", [False, True])
def test_what_would_run_code_is_refused_before_it_does(tmp_path: Path, old: bool) -> None:
    folder, canary = copy(tmp_path), tmp_path / "ran"
    file = pickled(folder, old=old, extra=Canary(canary))
    digest = Digest.of(file.read_bytes())
    with pytest.raises(PickleRefused, match=r"posix\.mkdir") as caught:
        answers(with_digests(pulled(folder)))
    assert caught.value.details["file"] == file.name
    assert caught.value.details["sha256"] == digest
    assert f'trust="sha256:{digest}"' in caught.value.hint
    with pytest.raises(PickleRefused):  # another one is trusted
        answers(replace(with_digests(pulled(folder)), trusted=frozenset([Digest.of(b"")])))
    assert not canary.exists()


@pytest.mark.parametrize("old", [False, True])
def test_what_is_trusted_is_loaded_as_it_is(tmp_path: Path, old: bool) -> None:
    folder, canary = copy(tmp_path), tmp_path / "ran"
    file = pickled(folder, old=old, extra=Canary(canary), args=argparse.Namespace(lr=0.1))
    assert answers(with_digests(pulled(folder), file), host="process")
    assert canary.exists()


def test_a_trusted_pickle_has_a_process_of_its_own(tmp_path: Path) -> None:
    folder = copy(tmp_path)
    file = pickled(folder)
    runtime, hosts = TransformersRuntime(), Hosts()
    assert hosts.choose(runtime, with_digests(pulled(folder))).name == "thread"
    assert hosts.choose(runtime, with_digests(pulled(folder), file)).name == "process"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no pickle of PyTorch's but unknown"),
        (b"PK\x03\x04" + bytes(40), "is no pickle of PyTorch's but zip"),
        (b"\x80\x02}q\x00.", "could not be read|holds no tensors"),
        (b"\x80\x02]q\x00.", "could not be read|holds a list"),
    ],
)
def test_what_is_no_checkpoint(tmp_path: Path, content: bytes, said: str) -> None:
    folder = copy(tmp_path)
    file = pickled(folder)
    bundle = pulled(folder)
    file.write_bytes(content)
    with pytest.raises(LoadFailed, match=said):
        answers(bundle)


@pytest.mark.parametrize("value", [[torch.zeros(2)], {"a": 1}, {3: torch.zeros(2)}])
def test_a_pickle_without_tensors_by_name(tmp_path: Path, value: object) -> None:
    folder = copy(tmp_path)
    file = pickled(folder)
    bundle = pulled(folder)
    torch.save(value, file)
    with pytest.raises(LoadFailed, match="tensors by name"):
        answers(bundle)


def test_the_environment_does_not_undo_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    folder, canary = copy(tmp_path), tmp_path / "ran"
    pickled(folder, old=True, extra=Canary(canary))
    with pytest.raises(PickleRefused):
        answers(pulled(folder))
    assert not canary.exists()


def test_an_embedder_and_its_layers(tmp_path: Path) -> None:
    folder = with_modules(tmp_path / "embed", "Transformer", "Pooling", "Dense")
    weight, added = dense(folder / "2_Dense")
    expected = np.tanh(Oracle().vectors(["rain"], normalize=False) @ weight.T + added)
    pickled(folder)
    layer = pickled(folder / "2_Dense")
    found = embed(Subject(TransformersRuntime(), pulled(folder)), "rain", normalize=False)
    assert np.abs(found - expected).max() < 1e-3
    canary = tmp_path / "ran"
    tensors = torch.load(layer, weights_only=True)
    torch.save({**tensors, "extra": Canary(canary)}, layer)
    with pytest.raises(PickleRefused, match=r"^pytorch_model\.bin"):
        embed(Subject(TransformersRuntime(), pulled(folder)), "rain")
    assert not canary.exists()
