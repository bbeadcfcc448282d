"""The contract of an introspector: a plugin that knows a kind of repository which modelhub does not.

It is found by the entry point group `modelhub.introspectors`; the entry point's name is the `name` of
the class that it points to. `modelhub.registry.introspect.testing` has the contract as tests to inherit.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from modelhub.facts import RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import Findings, Metadata

__all__ = ["API_VERSION", "Introspector"]

API_VERSION = 1


class Introspector(ABC):
    """Repositories that are laid out alike, and what is in them.

    All methods are pure: what they are given is all that they look at, the same gives the same, and
    they open nothing. A stranger wrote every name and every byte of it: nothing of that makes them
    raise. `name` is what evidence calls the family. It is made without arguments, and may be used from
    several threads.
    """

    api_version: ClassVar[int] = API_VERSION
    name: ClassVar[str]

    @abstractmethod
    def matches(self, listing: RepoListing) -> bool:
        """Whether the repository is of this family, by the names and sizes of its files."""

    @abstractmethod
    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        """The models of a repository that matches, with evidence for the task of each.

        `metadata` may lack what was asked for: then it says less.
        """

    def files_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:  # noqa: ARG002 - for those that use it
        """Small files that `describe` would like to have besides those that are read anyway:
        configurations, indexes, templates and cards.
        """
        return ()

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:  # noqa: ARG002 - as above
        """The files of weights (GGUF, ONNX, safetensors) whose headers `describe` would like to have."""
        return ()
