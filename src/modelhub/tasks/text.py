"""Chat: messages in, text out.

Parameters are named as in `huggingface_hub.InferenceClient.chat_completion` and OpenAI's chat
completions; `top_k` as in llama.cpp and transformers.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from modelhub.errors import InvalidInput
from modelhub.facts import Fact, Provenance
from modelhub.tasks.base import WHOLE, Request, Result, build_request, check_whole
from modelhub.tasks.formats import ResponseFormat, read_format

MessageInput = str | Iterable["Mapping[str, Any] | Message"]


class Role(StrEnum):
    """Who speaks."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"


class Message(Fact):
    """One turn of a conversation."""

    role: Role
    content: Annotated[str, WHOLE]

    @field_validator("content", mode="before")
    @classmethod
    def _join_text_parts(cls, content: Any) -> Any:
        """OpenAI's list of parts, when all of them are text."""
        if not isinstance(content, list | tuple):
            return content
        return "".join(map(_part_text, content))

    @field_validator("content")
    @classmethod
    def _says_something(cls, content: str) -> str:
        if not content.strip():
            raise ValueError("it is empty")
        return content


def _part_text(part: Any) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else type(part).__name__
    if kind != "text":
        raise ValueError(f"only text parts can be read, this one is {kind!r}")
    text = part.get("text")
    if not isinstance(text, str):
        raise ValueError(f"a text part has a text under 'text', this one {type(text).__name__!r}")  # noqa: TRY004 - pydantic collects ValueErrors
    return text


class FinishReason(StrEnum):
    """Why the text ended: the model was done, or `max_tokens` or the context was reached."""

    STOP = "stop"
    LENGTH = "length"


TokenCount = Annotated[int, Field(ge=0, le=1 << 53)]
"""What every JSON reader and every database can hold."""


class Usage(Fact):
    """Tokens read and written."""

    prompt_tokens: TokenCount
    completion_tokens: TokenCount

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


class ChatRequest(Request):
    """A conversation to go on with, and how to sample."""

    messages: tuple[Message, ...] = Field(
        min_length=1, description="Pass a text, or messages such as {'role': 'user', 'content': '…'}."
    )
    max_tokens: Annotated[int, Field(ge=1, le=1 << 31)] | None = Field(
        None, description="The most tokens to write, at least 1; None writes until the model stops."
    )
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = Field(
        None,
        description="0 always takes the likeliest token; 0.7 is usual; None is the engine's default.",
    )
    top_p: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="A share of the probability, above 0 and at most 1."
    )
    top_k: Annotated[int, Field(ge=0, le=1 << 31)] | None = Field(
        None, description="How many of the likeliest tokens to draw from; 0 is all."
    )
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] | None = Field(
        None, description="A whole number from 0 to 4294967295, for the same draw again."
    )
    stop: tuple[Annotated[str, Field(min_length=1, max_length=1000), WHOLE], ...] = Field(
        (), max_length=16, description="Up to 16 texts; writing ends before the first that appears."
    )

    response_format: ResponseFormat | None = Field(
        None,
        description="A JSON schema, a pydantic class, or OpenAI's response_format; None takes any text.",
    )

    @field_validator("stop", mode="before")
    @classmethod
    def _one_or_many(cls, stop: Any) -> Any:
        if stop is None:
            return ()
        return (stop,) if isinstance(stop, str) else stop

    @field_validator("response_format")
    @classmethod
    def _of_whole_texts(cls, wanted: ResponseFormat | None) -> ResponseFormat | None:
        if wanted is not None:
            check_whole(wanted.name)
            check_whole(json.dumps(wanted.json_schema, ensure_ascii=False))
        return wanted

    @model_validator(mode="after")
    def _someone_asks(self) -> Self:
        if all(message.role is Role.SYSTEM for message in self.messages):
            raise ValueError("there is nothing to answer: every message is a system message")
        return self


class ChatReply(Result):
    """The model's answer. `reasoning` is what a thinking model wrote before it, if anything.

    `parsed` is the value of a text that was bound to a `response_format`: plain JSON, or an instance
    of the pydantic class that was given.
    """

    text: str
    finish_reason: FinishReason
    usage: Usage
    reasoning: str = ""
    parsed: Any = None

    def __str__(self) -> str:
        return self.text


class ChatChunk(Fact):
    """A piece of an answer; the last one has `finish_reason`, `usage` and `provenance`."""

    text: str = ""
    reasoning: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    provenance: Provenance | None = None

    def __str__(self) -> str:
        return self.text


def join_chunks(chunks: Sequence[ChatChunk]) -> ChatReply:
    """The whole answer that a stream gave in pieces; the last one says why it ended."""
    last = chunks[-1]
    assert last.finish_reason is not None
    assert last.usage is not None
    return ChatReply(
        text="".join(chunk.text for chunk in chunks),
        reasoning="".join(chunk.reasoning for chunk in chunks),
        finish_reason=last.finish_reason,
        usage=last.usage,
    )


def chat_request(messages: MessageInput, **params: Any) -> ChatRequest:
    """A checked chat request from a text or from OpenAI-style messages.

    Raises:
        InvalidInput: for no messages, an unknown role, half a character in a text, a parameter out of
            range or unknown.
    """
    if "response_format" in params:
        params["response_format"] = read_format(params["response_format"])
    return build_request(ChatRequest, messages=_messages(messages), **params)


def _messages(messages: MessageInput) -> tuple[Any, ...]:
    if isinstance(messages, str):
        return ({"role": Role.USER, "content": messages},)
    if isinstance(messages, Mapping | bytes) or not isinstance(messages, Iterable):
        raise InvalidInput(
            f"messages must be a text or a list of messages, not {type(messages).__name__}",
            hint="Pass a text, or messages such as [{'role': 'user', 'content': '…'}].",
            field="messages",
        )
    return tuple(messages)
