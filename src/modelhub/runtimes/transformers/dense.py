"""A dense layer after the pooling: a folder with `config.json`, and `model.safetensors` or a pickle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from modelhub.errors import LoadFailed
from modelhub.runtimes.base import Bundle
from modelhub.runtimes.transformers.files import check_header, read_json
from modelhub.runtimes.transformers.pickles import read_pickle

_TANH = "torch.nn.modules.activation.Tanh"
_WHOLE = "sentence_embedding"

_ACTIVATIONS: dict[str, Any] = {
    _TANH: torch.tanh,
    "torch.nn.modules.activation.GELU": torch.nn.functional.gelu,
    "torch.nn.modules.activation.ReLU": torch.relu,
    "torch.nn.modules.activation.Sigmoid": torch.sigmoid,
    "torch.nn.modules.linear.Identity": lambda vectors: vectors,
}
"""What may stand in the configuration; a class of another name would have to be imported."""


@dataclass(frozen=True)
class Dense:
    """`activation(weight · vector + bias)`."""

    weight: Any
    bias: Any
    activation: Any

    def __call__(self, vectors: Any) -> Any:
        """Vectors, (texts, in), to (texts, out)."""
        return self.activation(torch.nn.functional.linear(vectors, self.weight, self.bias))


def read_dense(bundle: Bundle, folder: Path, device: str) -> Dense:
    """The layer in a folder of the bundle's.

    Raises:
        LoadFailed: for an activation that is not known, for weights that are not there or damaged.
        PickleRefused
    """
    config = read_json(folder / "config.json")
    if not isinstance(config, dict):
        raise LoadFailed(f"{folder.name} has no config.json with an object in it")
    name = str(config.get("activation_function", _TANH))
    if name not in _ACTIVATIONS:
        known = ", ".join(_ACTIVATIONS)
        raise LoadFailed(
            f"{folder.name}: the activation {name!r} is not known", hint=f"Known are {known}."
        )
    if config.get("module_input_name", _WHOLE) != _WHOLE:
        raise LoadFailed(f"{folder.name} works on single tokens: that makes no vector of a text")
    tensors = _tensors(bundle, folder, device)
    wanted = ("linear.weight", "linear.bias") if config.get("bias", True) else ("linear.weight",)
    if missing := [each for each in wanted if each not in tensors]:
        raise LoadFailed(f"the weights in {folder.name} have no tensor {missing[0]}")
    weight, *bias = (tensors[each].to(device).float() for each in wanted)
    return Dense(weight, bias[0] if bias else None, _ACTIVATIONS[name])


def _tensors(bundle: Bundle, folder: Path, device: str) -> dict[str, Any]:
    weights, pickled = folder / "model.safetensors", folder / "pytorch_model.bin"
    if weights.is_file():
        check_header(weights)
        loaded: dict[str, Any] = load_file(weights, device=device)
        return loaded
    if pickled in bundle.files("model"):
        return read_pickle(bundle, pickled)
    raise LoadFailed(f"{folder.name} has no model.safetensors, and the variant no pickle of it")
