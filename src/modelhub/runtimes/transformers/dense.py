"""A dense layer after the pooling: a folder with `config.json` and `model.safetensors`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from modelhub.errors import LoadFailed
from modelhub.runtimes.transformers.files import check_header, read_json

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


def read_dense(folder: Path, device: str) -> Dense:
    """The layer in a folder.

    Raises:
        LoadFailed: for an activation that is not known, for weights that are not there or no safetensors.
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
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise LoadFailed(f"{folder.name} has no model.safetensors", hint="Pickles are not loaded.")
    check_header(weights)
    tensors = load_file(weights, device=device)
    wanted = ("linear.weight", "linear.bias") if config.get("bias", True) else ("linear.weight",)
    if missing := [each for each in wanted if each not in tensors]:
        raise LoadFailed(f"{folder.name}/model.safetensors has no tensor {missing[0]}")
    weight, *bias = (tensors[each].float() for each in wanted)
    return Dense(weight, bias[0] if bias else None, _ACTIVATIONS[name])
