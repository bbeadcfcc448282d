"""Which other repositories have the same bytes."""

from collections.abc import Iterable
from typing import Any

from pydantic import computed_field

from modelhub.facts.base import Fact, SummedFact, human_bytes
from modelhub.refs import Digest, RepoPath

__all__ = ["SharedFile", "Sharing"]


class SharedFile(Fact):
    """A file whose bytes another repository has too, at `other_path` there.

    `components` are those of the repository's variants that the file belongs to.
    """

    path: RepoPath
    size: int
    sha256: Digest
    other_path: RepoPath
    components: tuple[str, ...] = ()


class Sharing(SummedFact):
    """What another registered repository has of this one, at any of its commits: each content once."""

    repo: str
    source: str
    files: tuple[SharedFile, ...]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def bytes(self) -> int:
        """The files' sizes, added up."""
        return sum(file.size for file in self.files)

    @computed_field  # type: ignore[prop-decorator]
    @property
    def components(self) -> tuple[str, ...]:
        """The components that share a file, as the variants have them."""
        return tuple(dict.fromkeys(name for file in self.files for name in file.components))

    def _brief(self) -> Iterable[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in ("repo", "components", "bytes"))

    def __str__(self) -> str:
        *names, last = self.components or (_count(len(self.files)),)
        what = f"{', '.join(names)} and {last}" if names else last
        verb = "are" if names or (not self.components and len(self.files) > 1) else "is"
        return f"{what} ({human_bytes(self.bytes)}) {verb} also in {self.repo}"


def _count(files: int) -> str:
    return f"{files} file" + ("s" if files > 1 else "")
