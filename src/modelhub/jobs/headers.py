"""Reads the headers of a repository's weight files, by range."""

from collections.abc import Callable, Mapping

from modelhub.facts import RepoFile, RepoListing
from modelhub.formats import (
    GGUFHeader,
    ONNXHeader,
    RangeReader,
    SafetensorsHeader,
    read_gguf,
    read_onnx,
    read_safetensors,
)
from modelhub.jobs.engine import JobContext
from modelhub.registry.introspect import headers_wanted
from modelhub.sources.base import Source

__all__ = ["Header", "read_headers"]

Header = GGUFHeader | ONNXHeader | SafetensorsHeader

_READERS: Mapping[str, Callable[[RangeReader], Header]] = {
    ".gguf": read_gguf,
    ".onnx": read_onnx,
    ".safetensors": read_safetensors,
}

MAX_HEADER_BYTES = 512 << 20
"""Of all headers of one repository; what comes after that is known by its name alone."""


def read_headers(source: Source, listing: RepoListing, context: JobContext) -> Mapping[str, Header]:
    """The headers that introspection wants, by their files' paths."""
    headers: dict[str, Header] = {}
    wanted = headers_wanted(listing)
    spent = 0
    for path in wanted:
        if spent > MAX_HEADER_BYTES:
            break
        context.progress("headers", len(headers), len(wanted), path, unit="files")
        headers[path], cost = _header(source, listing, listing.by_path[path])
        spent += cost
    context.progress("headers", len(headers), len(headers), unit="files")
    return headers


def _header(source: Source, listing: RepoListing, file: RepoFile) -> tuple[Header, int]:
    """A file's header, and how many bytes were read for it."""

    def read(start: int, end: int) -> bytes:
        return source.read(listing, file, start, end)

    reader = RangeReader(read, file.size, name=file.path)
    return _READERS[file.path.suffix](reader), reader.bytes_read
