"""Recipes: data that describes repositories which describe themselves badly, or not at all."""

from modelhub.registry.introspect.recipes.apply import apply_recipes, recipe_headers, stated_tasks
from modelhub.registry.introspect.recipes.built_in import built_in
from modelhub.registry.introspect.recipes.match import Matched, RecipeSet
from modelhub.registry.introspect.recipes.parse import (
    MAX_BYTES,
    SUFFIXES,
    make_recipes,
    read_recipes,
    write_recipe,
)
from modelhub.registry.introspect.recipes.schema import Recipe

__all__ = [
    "MAX_BYTES",
    "SUFFIXES",
    "Matched",
    "Recipe",
    "RecipeSet",
    "apply_recipes",
    "built_in",
    "make_recipes",
    "read_recipes",
    "recipe_headers",
    "stated_tasks",
    "write_recipe",
]
