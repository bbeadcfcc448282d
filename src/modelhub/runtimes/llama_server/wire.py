"""The words that the engine speaks: OpenAI's chat and text completions as llama.cpp's server has them.

The format: `ggml-org/llama.cpp: tools/server/README.md`. Pure functions.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from modelhub.errors import EngineError, InvalidInput, ModelHubError
from modelhub.runtimes.llama.context import prompt_too_long
from modelhub.runtimes.llama.grammar.thoughts import CLOSE, OPEN
from modelhub.tasks import ChatRequest, FinishReason, Message, Usage

_MOST_TOKENS = (1 << 31) - 1
_INVALID = 400


class Piece(NamedTuple):
    """What one message of the engine adds to an answer."""

    text: str = ""
    reasoning: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None


def payload(request: ChatRequest) -> dict[str, Any]:
    """The engine's request for a chat; what the caller left out is left to the engine."""
    return {"messages": turns(request.messages), **_how(request)}


def bound_payload(request: ChatRequest, prompt: str, grammar: str) -> dict[str, Any]:
    """The engine's request for a text behind `prompt` that `grammar` allows; the marks of thoughts are
    told even where they are tokens of control.
    """
    return {"prompt": prompt, "grammar": grammar, "preserved_tokens": [OPEN, CLOSE], **_how(request)}


def turns(messages: Iterable[Message]) -> list[dict[str, str]]:
    """The messages as the engine takes them."""
    return [{"role": str(turn.role), "content": turn.content} for turn in messages]


def _how(request: ChatRequest) -> dict[str, Any]:
    wanted: dict[str, Any] = {
        "max_tokens": request.max_tokens and min(request.max_tokens, _MOST_TOKENS),
        "temperature": request.temperature,
        "top_p": request.top_p,
        "top_k": request.top_k and min(request.top_k, _MOST_TOKENS),
        "seed": request.seed,
        "stop": list(request.stop) or None,
    }
    return {
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,  # a message for each batch of the prompt: a chance to stop it
        "cache_prompt": True,
        **{name: value for name, value in wanted.items() if value is not None},
    }


def read_piece(message: Mapping[str, Any]) -> Piece:
    """What a message adds.

    Raises:
        ContextTooLong, InvalidInput, EngineError: when the message is an error.
    """
    if "error" in message:
        raise read_error(message["error"])
    choice: Mapping[str, Any] = next(iter(message.get("choices", ())), {})
    delta = choice.get("delta", {})
    reason, usage = choice.get("finish_reason"), message.get("usage")
    return Piece(
        text=delta.get("content") or choice.get("text") or "",
        reasoning=delta.get("reasoning_content") or "",
        finish=reason and (FinishReason.LENGTH if reason == "length" else FinishReason.STOP),
        usage=usage
        and Usage(prompt_tokens=usage["prompt_tokens"], completion_tokens=usage["completion_tokens"]),
    )


def read_error(error: Mapping[str, Any]) -> ModelHubError:
    """The engine's error as one of ours."""
    said = str(error.get("message", error))
    if error.get("type") == "exceed_context_size_error":
        return prompt_too_long(error.get("n_prompt_tokens"), error.get("n_ctx"))
    if error.get("code") == _INVALID:
        return InvalidInput(f"llama.cpp refuses the request: {said}")
    return EngineError(f"llama.cpp failed: {said}")
