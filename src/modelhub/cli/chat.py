"""`modelhub chat`: one question, or a conversation."""

import json
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from modelhub.cli import render
from modelhub.cli.stdin import read_all
from modelhub.errors import InvalidInput, ModelHubError
from modelhub.hub import Hub
from modelhub.tasks import ChatChunk, ChatReply

log = logging.getLogger(__name__)


class Talk:
    """A conversation on the terminal. Keeps what was said, so that the model knows it too."""

    def __init__(self, hub: Hub, model: str, system: str | None, params: Mapping[str, Any]) -> None:
        self._hub = hub
        self._model = model
        self._params = params
        self._messages: list[dict[str, str]] = [{"role": "system", "content": system}] if system else []

    def run(self, prompt: str | None, *, as_json: bool) -> None:
        """Answer `prompt`, or standard input, or line after line of a person."""
        if prompt not in (None, "-"):
            self._answer(str(prompt), as_json=as_json)
        elif prompt == "-" or not sys.stdin.isatty():
            self._answer(read_all("prompt"), as_json=as_json)
        else:
            self._converse(as_json=as_json)

    def _converse(self, *, as_json: bool) -> None:
        typer.echo("Ctrl-D ends the conversation, Ctrl-C an answer.", err=True)
        while (line := _read_line()) is not None:
            if line:
                self._turn(line, as_json=as_json)

    def _turn(self, line: str, *, as_json: bool) -> None:
        """One question. An answer that fails or is stopped is no reason to forget the others."""
        try:
            self._answer(line, as_json=as_json)
        except ModelHubError as error:
            log.debug("turn_failed", exc_info=True)
            render.failure(error.message, error.hint)
        except KeyboardInterrupt:
            typer.echo("\n(stopped)", err=True)

    def _answer(self, text: str, *, as_json: bool) -> None:
        self._messages.append({"role": "user", "content": text})
        try:
            answer = self._whole() if as_json else self._streamed()
        except BaseException:
            self._messages.pop()
            raise
        if answer:
            self._messages.append({"role": "assistant", "content": answer})

    def _whole(self) -> str:
        reply: ChatReply = self._hub.chat(self._model, self._messages, **self._params)
        render.fact(reply, as_json=True)
        return reply.text

    def _streamed(self) -> str:
        pieces: list[str] = []
        thinking = False
        with self._hub.chat(self._model, self._messages, stream=True, **self._params) as stream:
            try:
                for chunk in stream:
                    pieces.append(chunk.text)
                    thinking = _show(chunk, thinking=thinking)
            except ModelHubError:
                if pieces:
                    typer.echo()  # the error gets a line of its own
                raise
        typer.echo()
        return "".join(pieces)


def read_schema(path: Path) -> dict[str, Any]:
    """The schema in a file.

    Raises:
        InvalidInput: for a file that cannot be read or is not a JSON object.
    """
    try:
        schema = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _no_schema(path, f"cannot be read as JSON: {error}") from error
    if not isinstance(schema, dict):
        raise _no_schema(path, f"holds a {type(schema).__name__}, not an object")
    return schema


def _no_schema(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"--schema: {path} {why}", hint="Write a JSON schema.", field="schema")


def _read_line() -> str | None:
    """A person's next line; `None` at the end. The prompt is no result: standard error has it."""
    typer.echo("> ", nl=False, err=True)
    try:
        return input().strip()
    except EOFError:
        typer.echo(err=True)
        return None


def _show(chunk: ChatChunk, *, thinking: bool) -> bool:
    """Print a piece, what was thought dimmed and on standard error; whether it ends in thought."""
    if chunk.reasoning:
        typer.secho(chunk.reasoning, nl=False, dim=True, err=True)
        thinking = True
    if chunk.text:
        if thinking:
            typer.echo("\n", err=True)
        typer.echo(chunk.text, nl=False)
        thinking = False
    return thinking
