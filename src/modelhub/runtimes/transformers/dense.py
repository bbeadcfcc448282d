"""A dense layer after the pooling: a folder with `config.json` and `model.safetensors`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from modelhub.errors import LoadFailed
from modelhub.formats import RangeReader, read_safetensors

_ACTIVATIONS: dict[str, Any] = {
    "torch.nn.modules.activation.Tanh": torch.tanh,
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
        LoadFailed: for an activation that is not known, or weights that are not there or no safetensors.
        FormatError
    """
    try:
        config = json.loads((folder / "config.json").read_bytes())
        name = config.get("activation_function", "torch.nn.modules.activation.Tanh")
        activation = _ACTIVATIONS[name]
    except (OSError, ValueError, AttributeError) as error:
        raise LoadFailed(f"{folder.name}/config.json cannot be read: {error}") from error
    except KeyError as error:
        known = ", ".join(_ACTIVATIONS)
        raise LoadFailed(
            f"{folder.name}: the activation {error} is not known", hint=f"Known are {known}."
        ) from error
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise LoadFailed(f"{folder.name} has no model.safetensors", hint="Pickles are not loaded.")
    read_safetensors(RangeReader.from_path(weights))
    tensors = load_file(weights, device=device)
    if "linear.weight" not in tensors:
        raise LoadFailed(f"{folder.name}/model.safetensors has no tensor linear.weight")
    bias = tensors.get("linear.bias")
    return Dense(tensors["linear.weight"].float(), None if bias is None else bias.float(), activation)
