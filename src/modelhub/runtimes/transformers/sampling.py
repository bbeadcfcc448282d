"""How the next token is drawn, without a word to PyTorch's own generators, which are the program's."""

from dataclasses import dataclass
from typing import Any

from transformers import LogitsProcessor, LogitsProcessorList
from transformers.generation import (
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from modelhub.tasks import ChatRequest

_COLDEST = 1e-6
"""Below it, scores divided by the temperature would no longer be numbers."""


@dataclass(frozen=True)
class Usual:
    """What a repository's `generation_config.json` says of how its answers are written.

    `temperature` 0 is for a repository that does not ask for draws. `ends` are the tokens that end an
    answer. What else may stand in that file (beams, assistants, caches) changes how, not what.
    """

    ends: frozenset[int] = frozenset()
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    no_repeat_ngram_size: int | None = None
    suppress_tokens: list[int] | None = None


def usual_of(config: Any, tokenizer: Any) -> Usual:
    """What the library has read of the file, of a model whose tokenizer ends texts with its own token."""
    found = config.eos_token_id
    ends = {*(found if isinstance(found, list) else [found]), tokenizer.eos_token_id} - {None}
    drawn: dict[str, Any] = {}
    if config.do_sample:
        drawn = {name: getattr(config, name) for name in ("top_k", "top_p", "min_p")}
        drawn["temperature"] = 1.0 if config.temperature is None else float(config.temperature)
    return Usual(
        frozenset(ends),
        repetition_penalty=config.repetition_penalty,
        no_repeat_ngram_size=config.no_repeat_ngram_size,
        suppress_tokens=config.suppress_tokens,
        **drawn,
    )


class Draw(LogitsProcessor):
    """Draws a token with a generator of its own, and leaves it as the only one that can be taken."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    def __call__(self, input_ids: Any, scores: Any) -> Any:  # noqa: ARG002 - the library's signature
        import torch

        chances = scores.float().softmax(dim=-1)
        drawn = torch.multinomial(chances, 1, generator=self._generator)
        return torch.full_like(scores, float("-inf")).scatter(1, drawn, 0.0)


def processors(request: ChatRequest, usual: Usual, device: Any) -> LogitsProcessorList:
    """What shapes the scores of each token: as asked, else as the repository's own defaults."""
    temperature = usual.temperature if request.temperature is None else request.temperature
    if temperature == 0:
        return LogitsProcessorList()
    top_k = usual.top_k if request.top_k is None else request.top_k
    top_p = usual.top_p if request.top_p is None else request.top_p
    chain = LogitsProcessorList([TemperatureLogitsWarper(max(temperature, _COLDEST))])
    if top_k:
        chain.append(TopKLogitsWarper(top_k=top_k))
    if top_p is not None and top_p < 1:
        chain.append(TopPLogitsWarper(top_p=top_p))
    if usual.min_p:
        chain.append(MinPLogitsWarper(min_p=usual.min_p))
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
