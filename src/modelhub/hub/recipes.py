"""`hub.recipes`: what describes repositories that describe themselves badly, and how to add to it."""

import os
from collections.abc import Iterator
from typing import Any

from modelhub.errors import IntegrityError
from modelhub.facts import Call, Fact
from modelhub.facts.base import JsonDict
from modelhub.hub.calls import Calls
from modelhub.hub.how import Model
from modelhub.hub.recipe_book import Origin, RecipeBook
from modelhub.hub.repairing import Repairer
from modelhub.hub.resolve import Resolver
from modelhub.refs import Digest, ModelRef
from modelhub.registry.introspect import Metadata, metadata_wanted
from modelhub.registry.introspect.files import MAX_FILE
from modelhub.store import Store

__all__ = ["RecipeMatch", "RecipeProblem", "RecipeView", "Recipes"]


class RecipeView(Fact):
    """A recipe that applies. `origin` is `modelhub`, a distribution or a file; `overrides` names what it
    stands in for. `content` is all that it says, as a file has it.
    """

    name: str
    origin: str
    overrides: str = ""
    tasks: tuple[str, ...]
    source: str
    content: JsonDict


class RecipeProblem(Fact):
    """Recipes that cannot be used: where from, why, and what to do."""

    origin: str
    text: str
    advice: str


class RecipeMatch(Fact):
    """A recipe that is for a repository, and what of the repository says so."""

    name: str
    origin: str
    why: str


class Recipes:
    """The recipes of a Hub. A change is used by the next `sync`, or `inspect(refresh=True)`."""

    def __init__(
        self,
        book: RecipeBook,
        resolver: Resolver,
        store: Store,
        calls: Calls,
        repairer: Repairer,
    ) -> None:
        self._book = book
        self._resolver = resolver
        self._store = store
        self._calls = calls
        self._repairer = repairer

    def list(self) -> tuple[RecipeView, ...]:
        """Every recipe that applies, by name."""
        with self._calls.serve():
            return tuple(map(_view, self._book.origins()))

    def __iter__(self) -> Iterator[RecipeView]:
        return iter(self.list())

    @property
    def problems(self) -> tuple[RecipeProblem, ...]:
        """Files and plugins whose recipes cannot be used, and recipes of which several have one name."""
        return tuple(
            RecipeProblem(origin=each.origin, text=each.text, advice=each.advice)
            for each in self._book.problems()
        )

    @property
    def digest(self) -> str:
        """A mark of all recipes that apply: repositories are read again where it is another."""
        return self._book.current().digest

    def get(self, name: str) -> RecipeView:
        """The recipe of that name.

        Raises:
            NotFound: when there is none.
            InvalidInput: when several are called so.
        """
        with self._calls.serve():
            return _view(self._book.get(name))

    def add(self, recipe: str | os.PathLike[str] | dict[str, Any]) -> tuple[RecipeView, ...]:
        """Check the recipes in a JSON or YAML file, or one as a dictionary, and keep them in the folder.

        One of the same name there is replaced; one of modelhub or of a plugin is overridden.

        Raises:
            InvalidInput: naming file, recipe and field. Nothing is kept then.
        """
        with self._calls.serve():
            return tuple(map(_view, self._book.add(recipe)))

    def remove(self, name: str) -> None:
        """Delete a recipe of the folder; what it overrode applies again.

        Raises:
            NotFound: when there is none of that name.
            InvalidInput: for one that modelhub or a plugin brings, or that shares its file with others.
        """
        with self._calls.serve():
            self._book.remove(name)

    def match(self, model: Model) -> tuple[RecipeMatch, ...]:
        """The recipes that are for a repository, the one that knows it best first. Asks nobody, but for
        a file that turns out to be damaged.

        Raises:
            RepositoryNotFound, RevisionNotFound: for what is not known here.
        """
        with self._calls.serve() as call:
            listing = self._resolver.listing(self._resolver.known(ModelRef.parse(model)))
            wanted = {file.path: file.sha256 for file in metadata_wanted(listing.files) if file.sha256}
            here = self._store.present(wanted.values())
            files: dict[str, bytes] = {
                path: self._content(digest, call) for path, digest in wanted.items() if digest in here
            }
            matched = self._book.current().matching(listing, Metadata(files=files))
            providers = {each.recipe.name: each.provider for each in self._book.origins()}
            return tuple(
                RecipeMatch(
                    name=each.recipe.name, origin=providers.get(each.recipe.name, ""), why=each.why
                )
                for each in matched
            )

    def _content(self, digest: Digest, call: Call) -> bytes:
        try:
            return self._store.read(digest, MAX_FILE)
        except IntegrityError as error:
            self._repairer.repair(error, call)
        return self._store.read(digest, MAX_FILE)

    def __repr__(self) -> str:
        return f"<Recipes {len(self._book.origins())} in {self._book.folder}>"


def _view(origin: Origin) -> RecipeView:
    recipe = origin.recipe
    return RecipeView(
        name=recipe.name,
        origin=origin.provider,
        overrides=origin.overrides,
        tasks=tuple(dict.fromkeys(model.subtask or model.task for model in recipe.models)),
        source=recipe.source.address,
        content=recipe.model_dump(mode="json", exclude_defaults=True),
    )
