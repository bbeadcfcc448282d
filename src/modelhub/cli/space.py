"""`modelhub du` and `modelhub gc`: what takes how much space, and what of it nobody needs."""

from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, common

_HOUR = 3600.0


def du(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="[vendor/]name; all of them if left out.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """How much the store holds, by repository and component. Tells what sharing saves, too."""
    with common.hub() as hub:
        render.fact(hub.store.usage(model), as_json=as_json)


Repo = Annotated[str, typer.Argument(metavar="REPO", help="[vendor/]name, or a folder or file.")]


def pin(repo: Repo, as_json: AsJson = False) -> None:
    """Never evict a repository's files to make room for others."""
    with common.hub() as hub:
        render.fact(hub.pin(repo), as_json=as_json)


def unpin(repo: Repo, as_json: AsJson = False) -> None:
    """Let a repository's files make room for others again."""
    with common.hub() as hub:
        render.fact(hub.unpin(repo), as_json=as_json)


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
    """Delete what no repository, model or running job needs."""
    with common.hub() as hub:
        done = hub.store.gc(dry_run=dry_run, forgotten=forgotten, grace=grace * _HOUR)
    render.fact(done, as_json=as_json)
