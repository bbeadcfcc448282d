"""What runtimes that embed have in common: prompts, limits, lengths."""

from collections.abc import Mapping, Sequence
from typing import Any

from modelhub.errors import ContextTooLong, InvalidInput
from modelhub.tasks import EmbedRequest, EmbedResult, Usage


def prompted(request: EmbedRequest, details: Mapping[str, Any]) -> list[str]:
    """The texts as the model is to read them; `details` are those of the model.

    With the repository's prompt before each, and in lower case where it says so.

    Raises:
        InvalidInput: for a prompt that the repository does not have.
    """
    before = _prompt(request, details)
    texts = [before + text for text in request.texts]
    return [text.lower() for text in texts] if details.get("lowercase") else texts


def _prompt(request: EmbedRequest, details: Mapping[str, Any]) -> str:
    prompts = details.get("prompts") or {}
    name = request.prompt_name or details.get("default_prompt")
    if name is None:
        return ""
    if name not in prompts:
        known = ", ".join(map(repr, sorted(prompts)))
        raise InvalidInput(
            f"prompt_name: the repository has no prompt {name!r:.60}",
            hint=f"It has {known}." if known else "It has none: leave it out.",
            field="prompt_name",
        )
    return str(prompts[name])


def normalizes(request: EmbedRequest, details: Mapping[str, Any]) -> bool:
    """Whether vectors get length 1: as asked, else as the repository says, else yes.

    A GGUF file does not say it; llama.cpp's own server gives vectors of length 1 too.
    """
    return bool(details.get("normalize", True)) if request.normalize is None else request.normalize


def cut(tokens: Sequence[int], limit: int, *, ends: bool) -> list[int]:
    """At most `limit` tokens; the last stays the last where the tokenizer `ends` each text with one."""
    if len(tokens) <= limit:
        return list(tokens)
    return [*tokens[: limit - 1], tokens[-1]] if ends else list(tokens[:limit])


def text_too_long(index: int, tokens: int, limit: int) -> ContextTooLong:
    """One of the texts does not fit."""
    return ContextTooLong(
        f"texts.{index} has {tokens} tokens, and the model takes {limit}",
        hint="Split it, or pass truncate=True to embed its beginning.",
        field="texts",
        index=index,
        prompt_tokens=tokens,
        context_length=limit,
    )


def embed_result(vectors: Any, tokens: int, *, normalize: bool) -> EmbedResult:
    """The result from rows of numbers, (texts, dimensions), and how many tokens were read."""
    import numpy as np

    rows = np.asarray(vectors, dtype="float32")
    if normalize:
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return EmbedResult(vectors=rows, usage=Usage(prompt_tokens=tokens, completion_tokens=0))
