"""The recipes of a Hub: those that come with modelhub, those of plugins, and a person's own folder."""

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from modelhub.errors import InvalidInput, ModelHubError, NotFound
from modelhub.facts.plugin import PluginEntry
from modelhub.planner import nearest
from modelhub.registry.introspect.recipes import (
    MAX_BYTES,
    SUFFIXES,
    Recipe,
    RecipeSet,
    built_in,
    make_recipes,
    read_recipes,
    write_recipe,
)

__all__ = ["GROUP", "Origin", "Problem", "RecipeBook"]

log = logging.getLogger(__name__)

GROUP = "modelhub.recipes"
BUILT_IN = "modelhub"
MAX_FILES = 1000
"""In the folder; the first by name are read."""

FindEntryPoints = Callable[[], Iterable[EntryPoint]]
Fingerprint = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe is from: `modelhub`, a distribution, or a file of the folder; and what it overrides."""

    recipe: Recipe
    provider: str
    file: Path | None = None
    overrides: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that recipes could not be had from, and what would mend it. `recipe` where one is meant."""

    origin: str
    text: str
    advice: str
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class _Read:
    origins: tuple[Origin, ...]
    problems: tuple[Problem, ...]


def _installed_entry_points() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class RecipeBook:
    """The recipes of a Hub, as they are now. Safe to use from several threads.

    `folder` is the person's own; `find` gives the entry points of the group `modelhub.recipes`. What is
    broken costs only its own recipes, and is told by `problems`.
    """

    def __init__(self, folder: Path, find: FindEntryPoints = _installed_entry_points) -> None:
        self.folder = folder
        self._find = find
        self._lock = threading.RLock()
        self._plugins: _Read | None = None
        self._seen: Fingerprint | None = None
        self._now = _Read((), ())
        self._set = RecipeSet()

    def origins(self) -> tuple[Origin, ...]:
        """The recipes that apply, by name."""
        return self._read().origins

    def problems(self) -> tuple[Problem, ...]:
        """What could not be used."""
        return self._read().problems

    def current(self) -> RecipeSet:
        """The recipes that apply now, as introspection takes them."""
        with self._lock:
            self._read()
            return self._set

    def get(self, name: str) -> Origin:
        """The recipe of that name.

        Raises:
            InvalidInput: when several are called so, naming both.
            NotFound: when none is; the hint lists those that exist, nearest first.
        """
        read = self._read()
        for origin in read.origins:
            if origin.recipe.name == name:
                return origin
        for problem in read.problems:
            if problem.recipe == name:
                raise InvalidInput(problem.text, hint=problem.advice, field="name")
        known = ", ".join(nearest(name, [origin.recipe.name for origin in read.origins])[:8])
        raise NotFound(f"no recipe is called {name!r:.60}", hint=f"Nearest are: {known}.", field="name")

    def add(self, given: str | os.PathLike[str] | dict[str, Any]) -> tuple[Origin, ...]:
        """Check recipes, and keep each as a file of its own in the folder; one of its name is replaced.

        Raises:
            InvalidInput: naming file, recipe and field; nothing is kept then.
        """
        recipes = make_recipes(given, "recipe") if isinstance(given, dict) else _from_path(_path(given))
        with self._lock:
            for recipe in recipes:
                self._refuse_twice(recipe.name)
            for recipe in recipes:
                self._write(recipe)
        return tuple(self.get(recipe.name) for recipe in recipes)

    def remove(self, name: str) -> Path:
        """Delete the file of one's own recipe; what it overrode applies again. Gives the file's path.

        Raises:
            NotFound: when none is called so.
            InvalidInput: for one that is not in the folder, or shares a file with others.
        """
        with self._lock:
            files = self._files_with(name)
            if not files:
                provider = self.get(name).provider
                raise InvalidInput(
                    f"the recipe {name!r:.60} is not yours, it comes from {provider}",
                    hint="One of the same name in your folder overrides it.",
                    field="name",
                )
            if len(files) > 1 or len(files[0][1]) > 1:
                also = ", ".join(str(path) for path, _ in files)
                raise InvalidInput(
                    f"{also}: the recipe {name!r:.60} is not alone there",
                    hint="Take it out of the file with an editor.",
                    field="name",
                )
            path = files[0][0]
            try:
                path.unlink()
            except OSError as error:
                raise self._unwritable(error) from error
            self._seen = None
            return path

    def _read(self) -> _Read:
        with self._lock:
            seen = self._fingerprint()
            if self._seen is None or seen != self._seen:
                if self._plugins is None:
                    self._plugins = _plugins(self._find())
                self._now = _merged(self._plugins, *self._own([name for name, *_ in seen]))
                self._set = RecipeSet(tuple(origin.recipe for origin in self._now.origins))
                self._seen = seen
                for problem in self._now.problems:
                    log.warning("recipe_broken", extra={"origin": problem.origin, "error": problem.text})
            return self._now

    def _fingerprint(self) -> Fingerprint:
        try:
            with os.scandir(self.folder) as entries:
                named = [each for each in entries if _is_recipe(each.name)]
                found = sorted((each.name, each.stat()) for each in named)
        except FileNotFoundError:
            return ()
        except OSError as error:
            log.warning("recipe_broken", extra={"origin": str(self.folder), "error": str(error)})
            return ()
        return tuple((name, at.st_mtime_ns, at.st_size, at.st_ino) for name, at in found[:MAX_FILES])

    def _own(self, names: list[str]) -> tuple[list[Origin], list[Problem]]:
        origins: list[Origin] = []
        problems: list[Problem] = []
        for name in names:
            path = self.folder / name
            try:
                origins += [Origin(each, str(path), path) for each in _from_path(path)]
            except InvalidInput as error:
                problems.append(Problem(str(path), error.message, error.hint))
        return origins, problems

    def _files_with(self, name: str) -> list[tuple[Path, tuple[str, ...]]]:
        """The files of the folder that have a recipe, with the names of all that they have."""
        files: dict[Path, list[str]] = {}
        for origin in self._own([each for each, *_ in self._fingerprint()])[0]:
            files.setdefault(origin.file or self.folder, []).append(origin.recipe.name)
        return [(path, tuple(names)) for path, names in files.items() if name in names]

    def _refuse_twice(self, name: str) -> None:
        for path, _ in self._files_with(name):
            if path != self._path(name):
                raise InvalidInput(
                    f"{path} has a recipe {name!r} already",
                    hint="Change it there, or remove it first.",
                    field="name",
                )

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _write(self, recipe: Recipe) -> None:
        path = self._path(recipe.name)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(write_recipe(recipe))
            beside.replace(path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._seen = None

    def _unwritable(self, error: OSError) -> InvalidInput:
        return InvalidInput(
            f"{self.folder} cannot be written: {error.strerror or error}",
            hint="Pass another Settings(recipes=…), or set MODELHUB_RECIPES.",
            field="recipes",
        )


def _path(given: object) -> Path:
    if not isinstance(given, str | os.PathLike):
        raise InvalidInput(
            f"a recipe is a file's path or a dictionary, not {type(given).__name__}", field="recipe"
        )
    return Path(given)


def _is_recipe(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _from_path(path: Path) -> tuple[Recipe, ...]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {why}", hint="Name a JSON or YAML file.") from error
    return read_recipes(data, str(path))


def _plugins(points: Iterable[EntryPoint]) -> _Read:
    origins: list[Origin] = []
    problems: list[Problem] = []
    for point in sorted(points, key=lambda point: (PluginEntry.of(point).provider, point.name)):
        entry = PluginEntry.of(point)
        try:
            origins += [Origin(recipe, entry.provider) for recipe in _of_plugin(point)]
        # A plugin may do anything when it is imported and called, leaving the interpreter included.
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin's own; its problem says what
            said = (
                error.message if isinstance(error, ModelHubError) else f"{type(error).__name__}: {error}"
            )
            text = f"the recipes {entry.name!r} of {entry.provider} cannot be used: {said}"
            problems.append(Problem(entry.provider, text, entry.advice))
    return _Read(tuple(origins), tuple(problems))


def _of_plugin(point: EntryPoint) -> Iterator[Recipe]:
    """What an entry point gives: recipes, or the path of a file or folder with some; or calls for it."""
    found: Any = point.load()
    value = found() if callable(found) else found
    if not isinstance(value, str | os.PathLike):
        yield from make_recipes(
            {"recipes": value} if isinstance(value, list | tuple) else value, point.name
        )
        return
    path = Path(value)
    files = sorted(each for each in path.iterdir() if _is_recipe(each.name)) if path.is_dir() else [path]
    for each in files[:MAX_FILES]:
        yield from _from_path(each)


def _merged(plugins: _Read, own: list[Origin], problems: list[Problem]) -> _Read:
    """One recipe a name: a person's own overrides others; two others, or two of one's own, are none."""
    shipped = [Origin(recipe, BUILT_IN) for recipe in built_in().recipes]
    theirs, mine = _by_name([*shipped, *plugins.origins]), _by_name(own)
    found: list[Origin] = []
    conflicts: list[Problem] = []
    for name in sorted({*theirs, *mine}):
        same = mine.get(name) or theirs[name]
        if len(same) > 1:
            conflicts.append(_conflict(name, same))
            continue
        over = " and ".join(each.provider for each in theirs.get(name, ())) if name in mine else ""
        found.append(Origin(same[0].recipe, same[0].provider, same[0].file, over))
    return _Read(tuple(found), (*plugins.problems, *problems, *conflicts))


def _by_name(origins: Iterable[Origin]) -> dict[str, list[Origin]]:
    found: dict[str, list[Origin]] = {}
    for origin in origins:
        found.setdefault(origin.recipe.name, []).append(origin)
    return found


def _conflict(name: str, origins: list[Origin]) -> Problem:
    providers = " and ".join(origin.provider for origin in origins)
    return Problem(
        origins[0].provider,
        f"several recipes are called {name!r}, and none is used: those of {providers}",
        "Keep one of them; a recipe of that name in your own folder overrides those of others.",
        name,
    )
