"""Which recipes are for a repository, the one that knows it best first."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from modelhub.facts import RepoFile, RepoListing
from modelhub.registry.introspect.base import Metadata
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.recipes.patterns import Pattern, read_pattern
from modelhub.registry.introspect.recipes.schema import Config, Match, Recipe

__all__ = ["Matched", "RecipeSet", "Shelf"]

MAX_FILES = 4096
"""Recipes look at the files nearest to the root."""

_BY_HASH, _BY_NAME, _BY_NAMES, _BY_FILES = 4, 3, 2, 1


class Shelf:
    """The files of a repository as patterns look for them."""

    def __init__(self, listing: RepoListing) -> None:
        repo = listing.repo
        self.repository = f"{repo.vendor}/{repo.name}"
        near = sorted(listing.files, key=lambda file: (file.path.count("/"), file.path))[:MAX_FILES]
        self.files = tuple(near)
        self.hashes = frozenset(file.sha256 for file in listing.files if file.sha256)
        self._by_suffix: dict[str | None, list[RepoFile]] = {None: near}
        for file in near:
            self._by_suffix.setdefault(_suffix(file.path), []).append(file)
        self._found: dict[str, list[tuple[RepoFile, Mapping[str, str]]]] = {}

    def find(self, text: str) -> list[tuple[RepoFile, Mapping[str, str]]]:
        """The files that a pattern matches, those nearest to the root first, with its named parts."""
        if text not in self._found:
            pattern = read_pattern(text)
            self._found[text] = list(self._matches(pattern))
        return self._found[text]

    def has(self, text: str) -> bool:
        """Whether there is a file that a pattern matches."""
        return bool(self.find(text))

    def _matches(self, pattern: Pattern) -> Iterator[tuple[RepoFile, Mapping[str, str]]]:
        for file in self._by_suffix.get(pattern.suffix, ()):
            named = pattern.match(file.path)
            if named is not None:
                yield file, named


class Matched(NamedTuple):
    """A recipe that is for a repository; what in it says so, and how much that tells."""

    recipe: Recipe
    why: str
    rank: int


@dataclass(frozen=True)
class RecipeSet:
    """Recipes of different names. Equal sets have equal digests, whatever their order."""

    recipes: tuple[Recipe, ...] = ()

    @cached_property
    def digest(self) -> str:
        """A mark of all that they say, in hexadecimal digits: other recipes have another."""
        said = {recipe.name: recipe.model_dump(mode="json") for recipe in self.recipes}
        return sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def matching(self, listing: RepoListing, metadata: Metadata | None = None) -> tuple[Matched, ...]:
        """Those that are for a repository: by a hash first, then by its name, then by its files.

        Without `metadata` conditions on configurations count as held.
        """
        shelf = Shelf(listing)
        documents = None if metadata is None else Documents(listing, metadata)
        found = [each for recipe in self.recipes if (each := _matched(recipe, shelf, documents))]
        return tuple(sorted(found, key=lambda each: (-each.rank, each.recipe.name)))


def _matched(recipe: Recipe, shelf: Shelf, documents: Documents | None) -> Matched | None:
    found = (
        Matched(recipe, *told) for match in recipe.match if (told := _holds(match, shelf, documents))
    )
    return max(found, key=lambda each: each.rank, default=None)


def _holds(match: Match, shelf: Shelf, documents: Documents | None) -> tuple[str, int] | None:
    """What holds of a repository, for people, and how much it tells; `None` where not all does."""
    named = next((text for text in match.repositories if _is_called(text, shelf.repository)), None)
    known = next((digest for digest in match.sha256 if digest in shelf.hashes), None)
    if (match.repositories and named is None) or (match.sha256 and known is None):
        return None
    if not all(map(shelf.has, match.files)) or any(map(shelf.has, match.without)):
        return None
    if documents is not None and not all(_stands(each, shelf, documents) for each in match.config):
        return None
    told = [f"repository: {named}"] if named else []
    told += [f"sha256: {known[:12]}"] if known else []
    told += [f"files: {', '.join(match.files)}"] if match.files else []
    told += [f"{each.file}: {each.key}" for each in match.config]
    return "; ".join(told), _rank(named, known)


def _rank(named: str | None, known: str | None) -> int:
    if known:
        return _BY_HASH
    if named is None:
        return _BY_FILES
    return _BY_NAMES if any(mark in named for mark in "*?{") else _BY_NAME


def _is_called(text: str, repository: str) -> bool:
    # A name alone is that of a repository without a vendor.
    return read_pattern(text if "/" in text else f"/{text}").match(repository) is not None


def _stands(condition: Config, shelf: Shelf, documents: Documents) -> bool:
    for file, _ in shelf.find(condition.file):
        fields = documents.fields(file.path)
        if condition.key in fields.values:
            value = fields.values[condition.key]
            if not condition.values or value in condition.values:
                return True
    return False


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2].lower()
    _, dot, last = name.rpartition(".")
    return f"{dot}{last}"
