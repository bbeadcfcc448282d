"""Recipes from files that people wrote. Whatever is wrong with one is said with file, recipe and field."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from modelhub.errors import FormatError, InvalidInput
from modelhub.formats.plain_json import read_json
from modelhub.formats.plain_yaml import MAX_BYTES, read_yaml
from modelhub.registry.introspect.recipes.schema import Recipe

__all__ = ["MAX_BYTES", "SUFFIXES", "make_recipes", "read_recipes", "write_recipe"]

SUFFIXES = (".json", ".yaml", ".yml")
MAX_RECIPES = 256
"""In one file."""
MAX_NODES = 1 << 16
HINT = "docs/how-to/write-a-recipe.md says what a recipe holds."


def read_recipes(data: bytes, origin: str) -> tuple[Recipe, ...]:
    """The recipes in a file, JSON by its name and else YAML; `origin` is what errors call it.

    Raises:
        InvalidInput: naming `origin`, the recipe and the field.
    """
    if len(data) > MAX_BYTES:
        raise _refused(origin, f"it has {len(data):,} bytes, and at most {MAX_BYTES:,} are read")
    read = read_json if origin.lower().endswith(".json") else read_yaml
    try:
        value = read(data, name=origin)
    except FormatError as error:
        raise _refused(origin, error.message.removeprefix(f"{origin}: ")) from error
    return make_recipes(value, origin)


def make_recipes(value: object, origin: str) -> tuple[Recipe, ...]:
    """The recipes in a value: one recipe, or an object with a list of `recipes`.

    Raises:
        InvalidInput: naming `origin`, the recipe and the field.
    """
    several = isinstance(value, Mapping) and "recipes" in value
    if isinstance(value, Mapping) and several and len(value) > 1:
        other = next(str(key) for key in value if key != "recipes")
        raise _refused(origin, f"beside its list of recipes stands {other!r:.60}")
    found: Any = value["recipes"] if isinstance(value, Mapping) and several else [value]
    if not isinstance(found, Sequence) or isinstance(found, str | bytes) or not found:
        raise _refused(origin, "its recipes are no list of recipes", field="recipes")
    if len(found) > MAX_RECIPES:
        raise _refused(origin, f"it has {len(found):,} recipes, and at most {MAX_RECIPES} are read")
    recipes = tuple(_recipe(each, origin) for each in found)
    names = [recipe.name for recipe in recipes]
    if twice := next((name for n, name in enumerate(names) if name in names[:n]), None):
        raise _refused(origin, f"two of its recipes are called {twice!r}", recipe=twice, field="name")
    return recipes


def write_recipe(recipe: Recipe) -> bytes:
    """A recipe as a JSON file that `read_recipes` reads."""
    value = recipe.model_dump(mode="json", exclude_defaults=True)
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _recipe(value: object, origin: str) -> Recipe:
    if not isinstance(value, Mapping):
        raise _refused(origin, f"a recipe is an object, and not {_kind(value)}")
    name = value.get("name")
    named = name if isinstance(name, str) and len(name) <= 64 and name.isprintable() else ""
    where = f"recipe {named}: " if named else ""
    try:
        # By way of JSON, whose strict reading takes a list for a tuple, and nothing for something else.
        text = json.dumps(_long(_plain(value, [MAX_NODES])), allow_nan=False)
        return Recipe.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=True, include_context=False)[0]
        field = ".".join(str(step) for step in first["loc"]) or "recipe"
        said = first["msg"].removeprefix("Value error, ")
        came = (
            ""
            if first["type"] in {"missing", "extra_forbidden"} or _is_checked_whole(first)
            else f" (it is {_kind(first['input'])})"
        )
        raise _refused(origin, f"{where}{field}: {said}{came}", recipe=named, field=field) from None
    except (ValueError, TypeError, RecursionError) as error:
        raise _refused(origin, f"{where}{error}", recipe=named) from None


def _plain(value: Any, left: list[int]) -> Any:
    """JSON values alone, and not too many; a date as its text."""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"it has more than {MAX_NODES:,} values")
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{odd[0]!r:.60} stands where a name must: put it into quotes")
        return {key: _plain(item, left) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, left) for item in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if hasattr(value, "isoformat"):
        return value.isoformat()
    raise TypeError(f"{value!r:.60} is no JSON value")


def _long(recipe: Any) -> Any:
    """A recipe in which components are objects, also those that were written as their patterns alone."""
    models = recipe.get("models")
    for model in models if isinstance(models, list) else ():
        parts = model.get("components") if isinstance(model, dict) else None
        if isinstance(parts, dict):
            parts |= {
                name: {"files": [part] if isinstance(part, str) else part}
                for name, part in parts.items()
                if isinstance(part, str | list)
            }
    return recipe


def _is_checked_whole(error: Mapping[str, Any]) -> bool:
    """Whether several fields together are wrong: the message names what came."""
    return error["type"] == "value_error" and isinstance(error["input"], Mapping)


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    return f"{value!r:.60}"


def _refused(origin: str, problem: str, **details: Any) -> InvalidInput:
    return InvalidInput(f"{origin}: {problem}", hint=HINT, file=origin, **details)
