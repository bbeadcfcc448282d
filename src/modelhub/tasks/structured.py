"""Whether an answer is what its response format says."""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError

from modelhub.errors import OutputInvalid
from modelhub.facts import JsonDict
from modelhub.tasks.formats import ResponseFormat
from modelhub.tasks.patterns import compiled
from modelhub.tasks.text import ChatChunk, ChatReply, ChatRequest, FinishReason


def checked_reply(reply: ChatReply, request: ChatRequest) -> ChatReply:
    """The reply with its value in `parsed`, where a format was asked for.

    Raises:
        OutputInvalid: when the text is not what the format says.
    """
    wanted = request.response_format
    if wanted is None or wanted.bound is None:
        return reply
    return reply.model_copy(update={"parsed": read_answer(reply.text, wanted, reply.finish_reason)})


def checked_chunks(chunks: Iterable[ChatChunk], request: ChatRequest) -> Iterator[ChatChunk]:
    """The pieces; before the last one, the whole text is looked at.

    Raises:
        OutputInvalid: there, when the text is not what the format says.
    """
    wanted = request.response_format
    if wanted is None or wanted.bound is None:
        yield from chunks
        return
    texts = []
    for chunk in chunks:
        texts.append(chunk.text)
        if chunk.finish_reason is not None:
            read_answer("".join(texts), wanted, chunk.finish_reason)
        yield chunk


def read_answer(text: str, wanted: ResponseFormat, finish: FinishReason) -> Any:
    """The value that a text is, by its format.

    Raises:
        OutputInvalid: naming the place, never the content.
    """
    if finish is FinishReason.LENGTH:
        raise OutputInvalid(
            "the answer was cut before its JSON was whole",
            hint="Raise max_tokens, or load the model with a longer context.",
            finish_reason=str(finish),
        )
    try:
        value = json.loads(text, parse_constant=_no_json)
    except (ValueError, RecursionError):
        raise OutputInvalid("the answer is not JSON", finish_reason=str(finish)) from None
    schema = wanted.bound
    assert schema is not None
    error = next(iter(_validator(json.dumps(schema)).iter_errors(value)), None)
    if error is not None:
        place = ".".join(map(str, error.absolute_path)) or "the answer"
        raise OutputInvalid(
            f"{place} is not what the schema says: {error.validator}", finish_reason=str(finish)
        )
    return value


def as_class(reply: ChatReply, given: Any) -> ChatReply:
    """The reply with an instance in `parsed`, where the format was `given` as a pydantic class.

    Raises:
        OutputInvalid: when a validator of the class refuses the value.
    """
    if not (isinstance(given, type) and issubclass(given, BaseModel)):
        return reply
    try:
        return reply.model_copy(update={"parsed": given.model_validate(reply.parsed)})
    except ValidationError as error:
        place = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "the answer"
        raise OutputInvalid(
            f"{place} is not what {given.__name__} says", finish_reason=str(reply.finish_reason)
        ) from None


def fitting(values: Iterable[Any], schema: Mapping[str, Any]) -> list[Any]:
    """Those of the values that are what a schema says."""
    validator = _validator(json.dumps(schema))
    return [value for value in values if validator.is_valid(value)]


def _no_json(constant: str) -> Any:
    raise ValueError(constant)


@lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    from jsonschema import Draft202012Validator, validators

    linear = validators.extend(Draft202012Validator, {"pattern": _pattern})
    parsed: JsonDict = json.loads(schema)
    return linear(parsed)


def _pattern(_: Any, pattern: str, text: Any, __: Any) -> Iterator[Any]:
    """The keyword, by an engine that does not backtrack."""
    from jsonschema import ValidationError

    if isinstance(text, str) and not compiled(pattern).search(text):
        yield ValidationError("it does not match the pattern")
