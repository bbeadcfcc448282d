"""`modelhub gc`: what nobody needs goes."""

from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, common

_HOUR = 3600.0


def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what would go, and why.")
    ] = False,
    forgotten: Annotated[
        bool, typer.Option("--forgotten", help="Also what only forgotten repositories have.")
    ] = False,
    grace: Annotated[
        float, typer.Option(min=0, help="Leave alone what was used in the last so many hours.")
    ] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Delete what no repository, loaded model or running job needs."""
    with common.hub() as hub:
        done = hub.store.gc(dry_run=dry_run, forgotten=forgotten, grace=grace * _HOUR)
    render.fact(done, as_json=as_json)
