"""One vector of many, in the ways of sentence-transformers."""

from typing import Any

import torch


def pool(modes: str, states: Any, mask: Any) -> Any:
    """Pooled vectors, (texts, dimensions), of states (texts, tokens, width) where `mask` is 1.

    `modes` is a name of `POOLING`, or several with `+`: their vectors are put one behind the other.

    Raises:
        KeyError: for another name.
    """
    weights = mask.unsqueeze(-1).float()
    return torch.cat([POOLING[mode](states, weights) for mode in modes.split("+")], dim=1)


def _mean(states: Any, weights: Any) -> Any:
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def _root_mean(states: Any, weights: Any) -> Any:
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9).sqrt()


def _weighted_mean(states: Any, weights: Any) -> Any:
    """Later tokens count more: the n-th n times."""
    places = torch.arange(1, states.shape[1] + 1, device=states.device).float()
    return _mean(states, weights * places[None, :, None])


def _max(states: Any, weights: Any) -> Any:
    return states.masked_fill(weights == 0, float("-inf")).max(1).values


def _first(states: Any, weights: Any) -> Any:
    """The first token that counts, on whichever side the text is padded."""
    return _at(states, weights.squeeze(-1).argmax(1))


def _last(states: Any, weights: Any) -> Any:
    """The last token that counts."""
    places = torch.arange(states.shape[1], device=states.device)
    return _at(states, (weights.squeeze(-1) * places).argmax(1))


def _at(states: Any, index: Any) -> Any:
    return states[torch.arange(states.shape[0], device=states.device), index]


POOLING = {
    "mean": _mean,
    "mean_sqrt_len_tokens": _root_mean,
    "weightedmean": _weighted_mean,
    "max": _max,
    "cls": _first,
    "lasttoken": _last,
}
