"""Weights as a 4-bit file would hold them, for a while: training under them leaves answers that survive it.

The rounding follows ggml's block formats (32 weights share a scale), row-wise, as `gguf.quants` writes them.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

BLOCK = 32
NOISE = 0.08
"""Of a block's largest weight; rounding to q4_0 is an error of about 0.036 on the same scale."""

Rounding = Callable[[Tensor], Tensor]


def q4_0(blocks: Tensor) -> Tensor:
    """Symmetric 4 bits: the block's largest weight, with its sign, becomes -8."""
    largest = blocks.gather(-1, blocks.abs().argmax(dim=-1, keepdim=True))
    scale = torch.where(largest == 0, torch.ones_like(largest), largest / -8)
    return (blocks / scale).round().clamp(-8, 7) * scale


def q4_1(blocks: Tensor) -> Tensor:
    """4 bits between the block's least and largest weight, which is what q4_k does, before it rounds its scales."""
    low, high = blocks.amin(dim=-1, keepdim=True), blocks.amax(dim=-1, keepdim=True)
    scale = ((high - low) / 15).clamp_min(1e-12)
    return ((blocks - low) / scale).round() * scale + low


def noise(blocks: Tensor) -> Tensor:
    """An error somewhat larger than any of these formats makes."""
    return blocks + torch.randn_like(blocks) * NOISE * blocks.abs().amax(dim=-1, keepdim=True)


def exact(blocks: Tensor) -> Tensor:
    """The weights as they are."""
    return blocks


ROUNDINGS: tuple[Rounding, ...] = (exact, q4_0, q4_1, noise)


@contextmanager
def rounded(model: nn.Module, rounding: Rounding) -> Iterator[None]:
    """Within it every matrix of the model is rounded; after it the weights are back, and gradients are kept.

    A gradient taken at the rounded weights is applied to the true ones: the straight-through estimator.
    """
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    true = [matrix.detach().clone() for matrix in matrices]
    with torch.no_grad():
        for matrix in matrices:
            matrix.copy_(rounding(matrix.reshape(-1, BLOCK)).reshape(matrix.shape))
    try:
        yield
    finally:
        with torch.no_grad():
            for matrix, weights in zip(matrices, true, strict=True):
                matrix.copy_(weights)
