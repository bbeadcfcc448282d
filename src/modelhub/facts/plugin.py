"""A plugin as the metadata of its distribution announces it, and what pip can do about it."""

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import NamedTuple, Self

__all__ = ["PluginEntry", "removals"]


class PluginEntry(NamedTuple):
    """An entry point with where it comes from. `value` is `module:object`; nothing was imported for it."""

    name: str
    value: str
    distribution: str
    version: str

    @classmethod
    def of(cls, point: EntryPoint) -> Self:
        """The entry of an entry point."""
        distribution, version = (point.dist.name, point.dist.version) if point.dist else ("unknown", "0")
        return cls(point.name, point.value, distribution, version)

    @property
    def provider(self) -> str:
        """The distribution with its version, for people."""
        return f"{self.distribution} {self.version}".strip()

    @property
    def upgrade(self) -> str:
        """The command that brings a newer one."""
        return f"pip install --upgrade {self.distribution}"

    @property
    def advice(self) -> str:
        """What to do about one that is broken."""
        return f"Try {self.upgrade}, or pip uninstall {self.distribution}."


def removals(entries: Iterable[PluginEntry]) -> str:
    """The commands of which one ends a conflict between these."""
    return " or ".join(f"pip uninstall {entry.distribution}" for entry in entries)
