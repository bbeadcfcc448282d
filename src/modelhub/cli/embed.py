"""`modelhub embed`: texts in, a line with a vector each out."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from modelhub.cli import render
from modelhub.cli.stdin import read_all
from modelhub.errors import InvalidInput
from modelhub.hub import Hub
from modelhub.tasks import EmbedResult


def gather(texts: Sequence[str]) -> list[str]:
    """The texts, or the lines of standard input when there are none or the only one is `-`.

    Raises:
        InvalidInput: for lines that are all empty.
    """
    if list(texts) not in ([], ["-"]):
        return list(texts)
    lines = [line for line in read_all("text").splitlines() if line.strip()]
    if not lines:
        raise InvalidInput(
            "text: standard input has no line that is not empty",
            hint="A text a line, or texts as arguments.",
            field="text",
        )
    return lines


def run(hub: Hub, model: str, texts: Sequence[str], params: dict[str, Any], *, as_json: bool) -> None:
    """Print a vector a line; as JSON, the whole result with its provenance."""
    result: EmbedResult = hub.embed(model, texts, **params)
    if as_json:
        render.fact(result, as_json=True)
        return
    for vector in result.vectors:
        typer.echo(json.dumps(vector.tolist()))
