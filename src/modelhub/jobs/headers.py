"""Reads the headers of a repository's weight files, by range."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from modelhub.errors import FormatError
from modelhub.facts import RepoListing
from modelhub.formats import (
    HEAD_BYTES,
    GGUFHeader,
    GGUFTable,
    ONNXHeader,
    RangeReader,
    SafetensorsHeader,
    TablePlace,
    read_gguf,
    read_gguf_table,
    read_onnx,
    read_safetensors,
)
from modelhub.jobs.context import JobContext
from modelhub.refs import RepoPath
from modelhub.registry.introspect import (
    Family,
    Findings,
    Metadata,
    Sister,
    headers_wanted,
    sisters_wanted,
)
from modelhub.registry.introspect.recipes import RecipeSet
from modelhub.sources.base import Source

__all__ = ["Header", "read_headers", "refuse_damage"]

T = TypeVar("T")
Header = GGUFHeader | ONNXHeader | SafetensorsHeader

_READERS: Mapping[str, Callable[[RangeReader], Header]] = {
    ".gguf": read_gguf,
    ".onnx": read_onnx,
    ".safetensors": read_safetensors,
}

MAX_HEADER_BYTES = 512 << 20
"""Of all headers of one repository; what comes after that is known by its name alone."""

MAX_UNLIKE = 3
"""How many sisters of one model are read whole because their tables are not where they should be;
the rest of them is known by their names alone."""


def read_headers(
    source: Source,
    listing: RepoListing,
    context: JobContext,
    families: Sequence[Family],
    recipes: RecipeSet | None = None,
) -> Metadata:
    """What these families and recipes want of the headers of weights: whole ones first, then sisters'
    tables.
    """
    reading = _Reading(source, listing)
    wanted, sisters = headers_wanted(listing, families, recipes), sisters_wanted(listing, families)
    total = len(wanted) + len(sisters)
    for number, path in enumerate(wanted):
        context.progress("headers", number, total, path, unit="files")
        reading.whole(path)
    for number, sister in enumerate(sisters, len(wanted)):
        context.progress("headers", number, total, sister.path, unit="files")
        reading.sister(sister)
    context.progress("headers", total, total, unit="files")
    return Metadata(headers=reading.headers, tables=reading.tables, damaged=reading.damaged)


def refuse_damage(findings: Findings, metadata: Metadata) -> None:
    """Refuse a repository in which nothing is left beside what is damaged.

    Raises:
        FormatError: about the first damaged header.
    """
    if not findings.models:
        for error in metadata.damaged.values():
            raise error


@dataclass(slots=True)
class _Reading:
    """The headers that were read so far, at the price of `spent` bytes."""

    source: Source
    listing: RepoListing
    headers: dict[str, Header] = field(default_factory=dict)
    tables: dict[str, GGUFTable] = field(default_factory=dict)
    damaged: dict[str, FormatError] = field(default_factory=dict)
    places: dict[tuple[RepoPath, ...], list[TablePlace]] = field(default_factory=dict)
    spent: int = 0

    def whole(self, path: RepoPath) -> None:
        """Read a whole header."""
        if self.spent <= MAX_HEADER_BYTES:
            found = self._read(path, _READERS[path.suffix])
            if found is not None:
                self.headers[path] = found

    def sister(self, sister: Sister) -> None:
        """Read a tensor table where the known ones of its model begin, else the whole header."""
        places = self._places(sister)
        for place in places[::-1]:
            if self._table(sister, place) or sister.path in self.damaged:
                return
        # Where the one that they are like is damaged, the first of them takes its place.
        if len(places) <= MAX_UNLIKE:
            self.whole(sister.path)
            header = self.headers.get(sister.path)
            if isinstance(header, GGUFHeader):
                places.append(TablePlace.learn([header]))

    def _places(self, sister: Sister) -> list[TablePlace]:
        if sister.like not in self.places:
            headers = [self.headers.get(path) for path in sister.like]
            known = [header for header in headers if isinstance(header, GGUFHeader)]
            whole = known and len(known) == len(headers)
            self.places[sister.like] = [TablePlace.learn(known)] if whole else []
        return self.places[sister.like]

    def _table(self, sister: Sister, place: TablePlace) -> bool:
        if self.spent > MAX_HEADER_BYTES:
            return False
        found = self._read(
            sister.path,
            lambda reader: read_gguf_table(reader, place, shard=sister.shard),
            first=HEAD_BYTES,
        )
        if found is not None:
            self.tables[sister.path] = found
        return found is not None

    def _read(self, path: RepoPath, parse: Callable[[RangeReader], T], **options: int) -> T | None:
        """What `parse` makes of a file; `None` where it is damaged, which is kept."""
        file = self.listing.by_path[path]

        def read(start: int, end: int) -> bytes:
            return self.source.read(self.listing, file, start, end)

        reader = RangeReader(read, file.size, name=path, **options)
        try:
            return parse(reader)
        except FormatError as error:
            self.damaged[path] = error
            return None
        finally:
            self.spent += reader.bytes_read
