"""A repository's small JSON files, of which nothing is believed: what is wrong is told, and passed over."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from modelhub.errors import FormatError
from modelhub.facts import RepoFile, RepoListing, RepoWarning
from modelhub.formats.plain_json import read_json
from modelhub.registry.introspect.base import Metadata

__all__ = ["Documents", "Fields", "is_plain"]

_HALF = re.compile("[\ud800-\udfff]")

MAX_WHOLE = 1 << 53
MAX_TEXT = 300
MAX_TOLD = 20
"""How many things are told that are wrong in one repository."""


class Fields:
    """A JSON object: each value only if it is what it should be.

    A value that is something else counts as absent, and so does `null`; `tell` gets a sentence
    about it. Of several names the first that has a value counts, for they are spellings of one
    thing. `more` is another object to look into, for what this one lacks.
    """

    def __init__(
        self,
        name: str,
        values: Mapping[str, Any],
        tell: Callable[[str], None],
        more: "Fields | None" = None,
    ) -> None:
        self.name = name
        self.values = values
        self._tell = tell
        self._more = more

    def __bool__(self) -> bool:
        return bool(self.values)

    def whole(self, *names: str) -> int | None:
        """A whole number from 0 to 2**53."""
        found: int | None = self._first(names, "a whole number", _is_whole)
        return found

    def whole_or_list(self, *names: str) -> Any:
        """A whole number, or a list of them, with an entry a layer."""
        return self._first(names, "a whole number", lambda value: _is_whole(value) or _are_whole(value))

    def number(self, *names: str, most: float) -> float | None:
        """A number from 0 to `most`."""
        found = self._first(names, f"a number from 0 to {most:g}", lambda value: _is_number(value, most))
        return None if found is None else float(found)

    def text(self, *names: str, most: int = MAX_TEXT) -> str | None:
        """A text of at most `most` characters; of one line, unless it may be longer than `MAX_TEXT`."""
        found: str | None = self._first(
            names, f"a text of at most {most:,} characters", lambda v: _is_text(v, most)
        )
        return found

    def flag(self, *names: str) -> bool | None:
        """True or false."""
        found: bool | None = self._first(names, "true or false", lambda value: isinstance(value, bool))
        return found

    def texts(self, *names: str) -> tuple[str, ...]:
        """A list of short texts; empty without one."""
        return tuple(self._first(names, "a list of names", _are_texts) or ())

    def object(self, *names: str) -> "Fields":
        """An object inside of this one; an empty one without it."""
        values = self._first(names, "an object", lambda value: isinstance(value, dict))
        return Fields(f"{self.name}: {names[0]}", values or {}, self._tell)

    def wrong(self, name: str, what: str) -> None:
        """Tell that `name` is not `what` it should be."""
        self._tell(f"{self.name}: {name} is {_shown(self.values.get(name))}, where {what} must stand")

    def _first(self, names: tuple[str, ...], what: str, fits: Callable[[Any], bool]) -> Any:
        for name in names:
            value = self.values.get(name)
            if value is not None:
                if fits(value):
                    return value
                self.wrong(name, what)
        return self._more._first(names, what, fits) if self._more else None  # noqa: SLF001 - our own


class Documents:
    """The JSON files of a repository, and what is wrong with them."""

    def __init__(self, listing: RepoListing, metadata: Metadata) -> None:
        self.listing = listing
        self.metadata = metadata
        self._wrong: dict[str, None] = {}
        self._read: dict[str, Any] = {}
        self._folders: dict[str, list[RepoFile]] = {}
        for file in listing.files:
            self._folders.setdefault(file.path.folder, []).append(file)

    def files_in(self, folder: str) -> list[RepoFile]:
        """The files of a folder, without those of the folders in it; `""` is the root."""
        return self._folders.get(folder, [])

    def tell(self, problem: str) -> None:
        """Remember something that is wrong, once."""
        self._wrong.setdefault(problem)

    def json(self, path: str) -> Any:
        """What a file holds; `None` where it is not there, or not readable, which is told."""
        if path not in self._read:
            self._read[path] = self._json(path)
        return self._read[path]

    def _json(self, path: str) -> Any:
        data = self.metadata.files.get(path)
        if data is None:
            if path in self.listing.by_path:
                self.tell(f"{path}: it was not read, since there is too much of its kind")
            return None
        try:
            value = read_json(data, name=path)
        except FormatError as error:
            self.tell(error.message)
            return None
        if value is None:
            self.tell(f"{path}: it holds null")
        return value

    def fields(self, path: str) -> Fields:
        """The object that a file holds; an empty one where there is none."""
        found = self.json(path)
        if found is not None and not isinstance(found, dict):
            self.tell(f"{path}: it holds {_shown(found)}, where an object must stand")
        return Fields(path, found if isinstance(found, dict) else {}, self.tell)

    def warnings(self) -> Iterator[RepoWarning]:
        """A warning for each thing that is wrong."""
        for problem in list(self._wrong)[:MAX_TOLD]:
            yield RepoWarning(code="metadata.damaged", text=f"{problem}; it is passed over.")


def is_plain(text: str) -> bool:
    """Whether a text is one: JSON can spell half of a surrogate pair, which nothing else can hold."""
    return not _HALF.search(text)


def _is_whole(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_WHOLE


def _is_number(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most  # which nan is not


def _are_whole(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 1 << 12 and all(map(_is_whole, value))


def _is_text(value: Any, most: int) -> bool:
    if not isinstance(value, str) or len(value) > most:
        return False
    return value.isprintable() if most <= MAX_TEXT else is_plain(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(item, MAX_TEXT) for item in value)


def _shown(value: Any) -> str:
    # Not the repr of a list or an object: it may be as deep and as large as the whole file.
    if isinstance(value, dict | list):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value):,}"
    return repr(value[:40]) if isinstance(value, str) else f"{value!r:.40}"
