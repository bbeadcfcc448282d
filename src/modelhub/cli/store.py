"""`modelhub store`: what keeps the bytes in order."""

from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, common

store = typer.Typer(help="The artifact store's upkeep.", no_args_is_help=True, rich_markup_mode=None)

_DAY = 86_400


@store.command()
def scrub(
    rate: Annotated[
        str | None, typer.Option(help="Read at most so much a second, such as 100MB/s.")
    ] = None,
    limit: Annotated[str | None, typer.Option(help="Stop after about so much, such as 50GB.")] = None,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Only what was not hashed for so many days.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Hash again what the store has, the longest unread first. Exits 1 when something is damaged and
    cannot be repaired, or cannot be read.
    """
    age = None if older_than is None else older_than * _DAY
    with common.hub() as hub:
        found = hub.store.scrub(rate=rate, limit=limit, older_than=age)
    render.fact(found, as_json=as_json)
    if not found.ok:
        raise typer.Exit(1)


@store.command()
def check(
    repair: Annotated[
        bool, typer.Option("--repair", help="Bring database and folder together again.")
    ] = False,
    deep: Annotated[bool, typer.Option("--deep", help="Hash every blob, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare the store with the database. Exits 1 when something is wrong and left so."""
    with common.hub() as hub:
        found = hub.store.check(repair=repair, deep=deep)
    render.fact(found, as_json=as_json)
    if not found.ok:
        raise typer.Exit(1)


@store.command()
def move(
    place: Annotated[str, typer.Argument(help="A folder, or a URI such as s3://bucket/prefix.")],
    delete_old: Annotated[
        bool, typer.Option("--delete-old", help="Delete the old place when all is in the new one.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come, and how.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring all that the store has to another place. Run again after a stop, it goes on."""
    with common.hub() as hub:
        moved = hub.store.move(place, delete_old=delete_old, dry_run=dry_run)
    render.fact(moved, as_json=as_json)
