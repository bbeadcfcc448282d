"""The recipes that come with modelhub: files of data beside this one."""

from functools import cache
from importlib.resources import files

from modelhub.registry.introspect.recipes.match import RecipeSet
from modelhub.registry.introspect.recipes.parse import SUFFIXES, read_recipes

__all__ = ["built_in"]


@cache
def built_in() -> RecipeSet:
    """The recipes that come with modelhub, read once."""
    folder = files(__package__) / "data"
    named = sorted((each.name, each) for each in folder.iterdir() if each.name.endswith(SUFFIXES))
    return RecipeSet(
        tuple(recipe for name, each in named for recipe in read_recipes(each.read_bytes(), name))
    )
