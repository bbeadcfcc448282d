"""`modelhub chat`: one question, or a conversation."""

import sys
from collections.abc import Mapping
from typing import Any

import typer

from modelhub.cli import render
from modelhub.hub import Hub
from modelhub.tasks import ChatChunk, ChatReply


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
            self._answer(sys.stdin.read().strip(), as_json=as_json)
        else:
            self._converse(as_json=as_json)

    def _converse(self, *, as_json: bool) -> None:
        typer.echo("Ctrl-D ends the conversation, Ctrl-C an answer.", err=True)
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                return
            if line:
                self._answer_patiently(line, as_json=as_json)

    def _answer_patiently(self, line: str, *, as_json: bool) -> None:
        try:
            self._answer(line, as_json=as_json)
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
        with self._hub.chat(self._model, self._messages, stream=True, **self._params) as stream:
            for chunk in stream:
                pieces.append(chunk.text)
                _show(chunk)
        typer.echo()
        return "".join(pieces)


def _show(chunk: ChatChunk) -> None:
    if chunk.reasoning:
        typer.secho(chunk.reasoning, nl=False, dim=True, err=True)
    typer.echo(chunk.text, nl=False)
    sys.stdout.flush()
