"""Where repositories come from: list, read a range, open for fetching."""

from modelhub.sources.base import API_VERSION, ByteStream, Known, Reader, Source
from modelhub.sources.discovery import Sources

__all__ = ["API_VERSION", "ByteStream", "Known", "Reader", "Source", "Sources"]
