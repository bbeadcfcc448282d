"""How the next token is drawn, without a word to PyTorch's own generators, which are the program's."""

from typing import Any

from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import (
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from modelhub.tasks import ChatRequest


class Draw(LogitsProcessor):
    """Draws a token with a generator of its own, and leaves it as the only one that can be taken."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __call__(self, input_ids: Any, scores: Any) -> Any:  # noqa: ARG002 - the library's signature
        import torch

        chances = scores.float().softmax(dim=-1)
        drawn = torch.multinomial(chances, 1, generator=self._generator)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)


def processors(request: ChatRequest, usual: GenerationConfig, device: Any) -> LogitsProcessorList:
    """What shapes the scores of each token: as asked, else as the repository's own defaults."""
    sampled = bool(usual.do_sample)
    temperature = request.temperature
    if temperature is None:
        temperature = float(usual.temperature or 1.0) if sampled else 0.0
    if temperature == 0:
        return LogitsProcessorList()
    top_k = request.top_k if request.top_k is not None else (usual.top_k if sampled else None)
    top_p = request.top_p if request.top_p is not None else (usual.top_p if sampled else None)
    chain = LogitsProcessorList([TemperatureLogitsWarper(temperature)])
    if top_k:
        chain.append(TopKLogitsWarper(top_k=top_k))
    if top_p is not None and top_p < 1:
        chain.append(TopPLogitsWarper(top_p=top_p))
    chain.append(Draw(_generator(request.seed, device)))
    return chain


def _generator(seed: int | None, device: Any) -> Any:
    import torch

    generator = torch.Generator(device=device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(seed)
    return generator
