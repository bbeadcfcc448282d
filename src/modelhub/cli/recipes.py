"""`modelhub recipes`: what describes repositories that describe themselves badly."""

from pathlib import Path
from typing import Annotated

import typer

from modelhub.cli import render
from modelhub.cli.options import AsJson, Model, common

recipes = typer.Typer(
    help="Recipes: what describes repositories that describe themselves badly.", rich_markup_mode=None
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="A recipe, as the list names it.")]


@recipes.callback(invoke_without_command=True)
def listed(context: typer.Context, as_json: AsJson = False) -> None:
    """List the recipes that apply, and what could not be read."""
    if context.invoked_subcommand is None:
        with common.hub() as hub:
            found, problems = hub.recipes.list(), hub.recipes.problems
        render.recipes(found, as_json=as_json)
        for problem in problems:
            render.failure(problem.text, problem.advice)


@recipes.command()
def show(name: Name) -> None:
    """Print a recipe, as JSON that `add` takes."""
    with common.hub() as hub:
        render.mapping(hub.recipes.get(name).content, as_json=True)


@recipes.command()
def add(file: Annotated[Path, typer.Argument(help="JSON or YAML.")], as_json: AsJson = False) -> None:
    """Check the recipes in a file, and keep them; the next sync of a repository uses them."""
    with common.hub() as hub:
        render.recipes(hub.recipes.add(file), as_json=as_json)


@recipes.command()
def remove(name: Name) -> None:
    """Delete one of your own recipes."""
    with common.hub() as hub:
        hub.recipes.remove(name)


@recipes.command("match")
def matching(model: Model, as_json: AsJson = False) -> None:
    """Show which recipes are for a known repository, and why."""
    with common.hub() as hub:
        render.recipe_matches(hub.recipes.match(model), as_json=as_json)
