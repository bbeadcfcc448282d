"""What two processes say to each other, as bytes: a JSON header and the raw buffers behind it.

Nothing is pickled. A message is a JSON object in which bytes and arrays stand as marks; a fact is the
name of its kind with its fields, as text where that is all of it.
Sources: RFC 8259; array types are numpy's `dtype.str`.
"""

import importlib
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from modelhub.errors import EngineError, InvalidInput, ModelHubError, error_from_dict
from modelhub.facts import Fact
from modelhub.facts.arrays import from_buffer, is_array
from modelhub.runtimes.hosts.plain import is_plain

Message = dict[str, Any]
Buffers = Sequence[memoryview]

_SCALARS = frozenset({str, bool, int, float, type(None)})

_MARK = "\0"
"""Begins the one key of a mark. A key of the caller's that begins so gets one more."""

_BYTES, _ARRAY, _FACT, _TEXT = _MARK + "b", _MARK + "a", _MARK + "f", _MARK + "t"


def encode(message: Mapping[str, Any]) -> tuple[bytes, list[memoryview]]:
    """The header and the buffers of a message: JSON values, bytes, arrays, facts, and nests of them.

    Raises:
        InvalidInput: for a value that is none of these.
    """
    buffers: list[memoryview] = []
    return _json(_marked(message, buffers)), buffers


def decode(header: bytes, buffers: Buffers, *, may_import: bool = False) -> Message:
    """The message. Kinds of facts must be known to this process already, unless it `may_import`.

    Raises:
        ValueError, LookupError, TypeError: for what `encode` did not write.
    """
    message: Message = _unmarked(_parsed(header), buffers, may_import=may_import)
    return message


def _json(value: Any) -> bytes:
    try:
        return to_json(value, inf_nan_mode="constants")
    except PydanticSerializationError:  # half characters, as in names of files that are no text
        return json.dumps(value).encode()


def _parsed(header: bytes) -> Any:
    try:
        return from_json(header)
    except ValueError:
        return json.loads(header)


def _marked(value: Any, buffers: list[memoryview]) -> Any:
    if type(value) in _SCALARS or isinstance(value, str | int | float):
        return value
    if isinstance(value, Fact):
        if is_plain(value) and (text := _text(value)) is not None:
            return {_TEXT: kind_name(type(value)), "v": text}
        return {_FACT: kind_name(type(value)), "v": _marked(value.model_dump(mode="python"), buffers)}
    if isinstance(value, dict | Mapping):  # the first is found at once
        return {_escaped(key): _marked(item, buffers) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_marked(item, buffers) for item in value]
    if isinstance(value, bytes | bytearray | memoryview):
        buffers.append(memoryview(value).cast("B"))
        return {_BYTES: len(buffers) - 1}
    if is_array(value):
        return _marked_array(value, buffers)
    raise InvalidInput(
        f"a {type(value).__name__} cannot be sent to another process",
        hint="Options and requests hold JSON values, bytes and arrays; or use the host 'thread'.",
    )


def _text(fact: Fact) -> str | None:
    """A fact as JSON text; `None` where it holds half characters, which JSON escapes and pydantic does not."""
    try:
        return fact.model_dump_json()
    except PydanticSerializationError:
        return None


def _marked_array(array: Any, buffers: list[memoryview]) -> Any:
    if array.dtype.hasobject or array.dtype.names:
        kind = "Python objects" if array.dtype.hasobject else f"records ({array.dtype})"
        raise InvalidInput(
            f"an array of {kind} cannot be sent to another process",
            hint="Pass an array of numbers for each field, or use the host 'thread'.",
        )
    whole = array if array.flags.c_contiguous else array.copy(order="C")
    # A view as bytes: zero-size arrays and unusual types have no buffer of their own to cast.
    buffers.append(memoryview(whole.reshape(-1).view("u1")) if whole.size else memoryview(b""))
    return {_ARRAY: len(buffers) - 1, "t": array.dtype.str, "s": list(array.shape)}


def _escaped(key: Any) -> str:
    if not isinstance(key, str):
        raise InvalidInput(f"a key that is a {type(key).__name__} cannot be sent to another process")
    return _MARK + key if key.startswith(_MARK) else key


def _unmarked(value: Any, buffers: Buffers, *, may_import: bool) -> Any:
    if isinstance(value, list):
        return [_unmarked(item, buffers, may_import=may_import) for item in value]
    if not isinstance(value, dict):
        return value
    if _TEXT in value:
        kind = find_kind(value[_TEXT], may_import=may_import)
        return kind.model_validate_json(value["v"])
    if _FACT in value:
        kind = find_kind(value[_FACT], may_import=may_import)
        return kind.model_validate(_unmarked(value["v"], buffers, may_import=may_import))
    if _BYTES in value:
        return bytes(buffers[value[_BYTES]])
    if _ARRAY in value:
        return from_buffer(buffers[value[_ARRAY]], value["t"], value["s"])
    return {
        key[1:] if key.startswith(_MARK) else key: _unmarked(item, buffers, may_import=may_import)
        for key, item in value.items()
    }


@lru_cache(maxsize=1024)
def kind_name(kind: type[Fact]) -> str:
    """`module:name` of a kind of fact.

    Raises:
        InvalidInput: for a class of a script or inside a function, which no other process can find.
    """
    if "<locals>" in kind.__qualname__ or kind.__module__ == "__main__":
        raise InvalidInput(
            f"{kind.__qualname__} cannot be sent to another process",
            hint="Define it at the top of a module that can be imported.",
        )
    return f"{kind.__module__}:{kind.__qualname__}"


@lru_cache(maxsize=1024)
def find_kind(name: str, *, may_import: bool) -> type[Fact]:
    """The kind of fact of that name.

    Raises:
        LookupError: when there is none; also when it would have to be imported, and may not be.
    """
    module, _, path = name.partition(":")
    if may_import and module not in sys.modules:
        try:
            importlib.import_module(module)
        except (ImportError, ValueError) as error:
            raise LookupError(f"no kind of fact is called {name!r:.100}: {error}") from error
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Fact)):
        raise LookupError(f"no kind of fact is called {name!r:.100}")  # noqa: TRY004 - a name that is not there
    return found


class ChildFailure(Exception):
    """An error that was raised in another process: its class, its words, and where it happened."""

    def __init__(self, kind: str, text: str, trace: str = "") -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        self.trace = trace
        if trace:
            self.add_note(trace)


def error_message(error: ModelHubError) -> Message:
    """An error and the one that caused it, to be sent."""
    message: Message = {"error": error.to_dict()}
    if (cause := error.__cause__) is not None:
        kind = type(cause).__qualname__
        message["cause"] = {"kind": kind, "text": str(cause), "trace": _trace(cause)}
    return message


def read_error(message: Message) -> ModelHubError:
    """The error of a message that `error_message` made."""
    try:
        error = error_from_dict(message["error"])
    except (KeyError, TypeError) as problem:
        return EngineError(f"another process sent an error that cannot be read: {problem!r}")
    if isinstance(cause := message.get("cause"), dict):
        error.__cause__ = ChildFailure(*(str(cause.get(name, "")) for name in ("kind", "text", "trace")))
    return error


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-8000:]
