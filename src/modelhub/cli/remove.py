"""`modelhub forget` and `modelhub purge`: out of the lists, or gone for good."""

import sys
from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, common

Repo = Annotated[str, typer.Argument(metavar="REPO", help="[vendor/]name, or a folder or file.")]


def forget(repo: Repo, as_json: AsJson = False) -> None:
    """Take a repository out of every list; its files stay in the store, and a sync brings it back."""
    with common.hub() as hub:
        render.fact(hub.forget(repo), as_json=as_json)


def purge(
    repo: Repo,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete a repository, and the files of it that no other one has; asks first on a terminal."""
    if not (yes or dry_run or sys.stdin.isatty()):
        raise typer.BadParameter("without a terminal to ask on, purge needs --yes (or --dry-run)")
    with common.hub() as hub:
        if dry_run:
            render.fact(hub.purge(repo, dry_run=True), as_json=as_json)
            return
        if not yes:
            typer.echo(hub.purge(repo, dry_run=True), err=True)
            typer.confirm("Delete it?", abort=True, err=True)
        render.fact(hub.purge(repo), as_json=as_json)
