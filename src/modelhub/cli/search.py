"""`modelhub search`: the known models that are what was asked for, a page at a time."""

from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, Task, common


def search(
    text: Annotated[str | None, typer.Argument(help="Beginnings of words of its name.")] = None,
    task: Task = None,
    vendor: Annotated[str | None, typer.Option(help="Whose it is, such as Qwen.")] = None,
    format: Annotated[str | None, typer.Option(help="Such as gguf.")] = None,  # noqa: A002
    precision: Annotated[str | None, typer.Option(help="Such as q4_k_m.")] = None,
    license: Annotated[str | None, typer.Option(help="Such as apache-2.0.")] = None,  # noqa: A002
    min_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="Such as 500MB.")] = None,
    max_bytes: Annotated[str | None, typer.Option(metavar="SIZE", help="Such as 8GB.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
    after: Annotated[str | None, typer.Option(help="Where the page before ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find known models by what they are. One variant at least has the format, precision and size."""
    with common.hub() as hub:
        page = hub.models(
            text,
            task=task,
            vendor=vendor,
            format=format,
            precision=precision,
            license=license,
            min_bytes=min_bytes,
            max_bytes=max_bytes,
            limit=limit,
            after=after,
        )
    render.models(page, as_json=as_json)
