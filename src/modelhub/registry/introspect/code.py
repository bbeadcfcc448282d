"""Python code that a repository asks to have run: row 5 of the threat table in docs/explanation/security.md.

`auto_map` gives classes as `module.Class`, of this repository, or `other/repo--module.Class`, of
another (`transformers.dynamic_module_utils`). What another repository holds is not pinned by this
one's commit, so nobody can have looked at it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from modelhub.facts import RepoFile, RepoListing, RepoWarning
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.weights import inside

__all__ = ["Code", "find_code", "joined"]

MAX_FILES = 1000

_ASKING = (
    "config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "modular_config.json",
)


@dataclass(frozen=True, slots=True)
class Code:
    """What a repository asks to have run: `modules` of its own by file, `elsewhere` by repository."""

    modules: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    def files(self, listing: RepoListing) -> tuple[RepoFile, ...]:
        """All Python files of the repository, for the modules import each other."""
        if not self.modules:
            return ()
        return tuple(file for file in listing.files if file.path.suffix == ".py")[:MAX_FILES]

    def warnings(self, listing: RepoListing) -> Iterator[RepoWarning]:
        """What a person should know of it."""
        if self.modules:
            names = ", ".join(
                name if name in listing.by_path else f"{name}, which is missing" for name in self.modules
            )
            text = (
                f"It asks to run Python code of its own ({names}); that is refused unless you allow it."
            )
            yield RepoWarning(code="remote_code", text=text)
        if self.elsewhere:
            text = (
                f"It asks to run Python code of another repository ({', '.join(self.elsewhere)}), which "
                "no commit of this one pins; that is refused, and cannot be allowed."
            )
            yield RepoWarning(code="remote_code.elsewhere", text=text)


def find_code(documents: Documents, folder: str, classes: Iterable[str] = ()) -> Code:
    """The code that the configurations in `folder` name, and that of `classes` besides."""
    asked = set(classes)
    for name in _ASKING:
        asked |= set(_asked(documents, inside(folder, name)))
    modules, elsewhere = set(), set()
    for each in asked:
        other, mark, name = each.rpartition("--")
        if mark:
            elsewhere.add(other)
        else:
            modules.add(inside(folder, f"{name.partition('.')[0]}.py"))
    return Code(tuple(sorted(modules)), tuple(sorted(elsewhere)))


def joined(codes: Iterable[Code]) -> Code:
    """What they ask for together."""
    modules, elsewhere = set(), set()
    for code in codes:
        modules |= set(code.modules)
        elsewhere |= set(code.elsewhere)
    return Code(tuple(sorted(modules)), tuple(sorted(elsewhere)))


def _asked(documents: Documents, path: str) -> Iterator[str]:
    values = documents.fields(path)
    auto_map = values.values.get("auto_map")
    # Old tokenizers have the list of classes itself.
    yield from _classes(
        documents, path, list(auto_map.values()) if isinstance(auto_map, dict) else auto_map
    )
    pipelines = values.object("custom_pipelines").values
    for each in pipelines.values():
        yield from _classes(documents, path, each.get("impl") if isinstance(each, dict) else each)


def _classes(documents: Documents, path: str, value: Any) -> Iterator[str]:
    """The names in a text, or in lists of texts and nulls, two deep."""
    if isinstance(value, list):
        inner = [item for each in value for item in (each if isinstance(each, list) else [each])]
    else:
        inner = [value]
    for name in inner:
        if isinstance(name, str) and 0 < len(name) <= 300 and name.isprintable():
            yield name
        elif name is not None:
            documents.tell(f"{path}: its auto_map names a class by something that is no name")
