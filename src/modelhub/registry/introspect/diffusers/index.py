"""What `model_index.json` and `modular_model_index.json` list: the parts of a pipeline, and where they are.

The first gives each part as `[library, class]`, `[null, null]` for one that is left out; the second as
`[library, class, {…}]` with the repository, folder, revision and variant to load it from
(`diffusers.modular_pipelines`: ComponentSpec). Other values are settings, and so are lists of numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from modelhub.errors import UnsafePath
from modelhub.facts import RepoWarning
from modelhub.refs import RepoPath
from modelhub.registry.introspect.documents import Documents, Fields

__all__ = ["INDEX", "MODULAR", "Elsewhere", "Index", "Part", "read_index"]

INDEX, MODULAR = "model_index.json", "modular_model_index.json"

MAX_PARTS = 64

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_RESERVED = ("code", "pipeline")
"""Components that modelhub itself makes of such a repository."""
_REPO = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its name, the library and class that load it, and its folder, `""` being the root.

    `mark` is the variant that the index names for it, `None` where it takes that of the whole.
    """

    name: str
    library: str
    type: str
    folder: str
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A part that is loaded from another repository."""

    name: str
    library: str
    type: str
    repo: str
    subfolder: str
    revision: str | None
    variant: str | None

    def warning(self) -> RepoWarning:
        """What a person should know of it."""
        where = self.repo + (f", folder {self.subfolder}" if self.subfolder else "")
        where += f", at {self.revision}" if self.revision else ""
        text = f"Its {self.name} is in another repository: {where}."
        return RepoWarning(code="component.elsewhere", text=text)


@dataclass(frozen=True, slots=True)
class Index:
    """A pipeline: the file that describes it, its class, the code file of its class, its parts."""

    path: str
    type: str | None
    module: str | None = None
    version: str | None = None
    parts: tuple[Part, ...] = ()
    elsewhere: tuple[Elsewhere, ...] = ()


def read_index(documents: Documents) -> Index | None:
    """What the index lists; of two, the modular one adds what the other lacks. `None` without a readable one."""
    paths = [path for path in (INDEX, MODULAR) if isinstance(documents.json(path), dict)]
    if not paths:
        for path in (INDEX, MODULAR):
            documents.fields(path)  # tells what stands there instead
        return None
    reader = _Reader(documents)
    for path in paths:
        reader.read(documents.fields(path))
    main = documents.fields(paths[0])
    module, kind = _pipeline_class(main)
    return Index(
        path=paths[0],
        type=kind or (main.text("_blocks_class_name") if paths[0] == MODULAR else None),
        module=module,
        version=main.text("_diffusers_version"),
        parts=tuple(reader.parts.values()),
        elsewhere=tuple(reader.elsewhere.values()),
    )


def _pipeline_class(main: Fields) -> tuple[str | None, str | None]:
    """The file of a pipeline's own code, without `.py`, and the class."""
    value = main.values.get("_class_name")
    if not isinstance(value, list):
        return None, main.text("_class_name")
    if len(value) == 2 and all(map(_is_name, value)):
        return value[0], value[1]
    main.wrong("_class_name", "the name of a class, or that of a module and one")
    return None, None


@dataclass
class _Reader:
    documents: Documents
    parts: dict[str, Part] = field(default_factory=dict)
    elsewhere: dict[str, Elsewhere] = field(default_factory=dict)

    def read(self, index: Fields) -> None:
        for name, value in self._listed(index):
            if not _NAME.fullmatch(name) or name in _RESERVED:
                self.documents.tell(f"{index.name}: {name[:40]!r} cannot be the name of a component")
            elif len(value) == 2:
                self._plain(index, name, value)
            else:
                self._modular(index, name, value)

    def _listed(self, index: Fields) -> Iterator[tuple[str, list[Any]]]:
        """The parts that no index before this one has."""
        known = self.parts.keys() | self.elsewhere.keys()
        listed = [(k, v) for k, v in index.values.items() if not k.startswith("_") and k not in known]
        listed = [(name, value) for name, value in listed if _lists_a_part(value)]
        if len(listed) > MAX_PARTS:
            self.documents.tell(f"{index.name}: it has more than {MAX_PARTS} components")
        yield from listed[:MAX_PARTS]

    def _plain(self, index: Fields, name: str, value: list[Any]) -> None:
        if value == [None, None]:
            return
        if all(map(_is_name, value)):
            self.parts[name] = Part(name, value[0], value[1], folder=name)
        else:
            index.wrong(name, "a library and a class")

    def _modular(self, index: Fields, name: str, value: list[Any]) -> None:
        if len(value) != 3 or not isinstance(value[2], dict):
            index.wrong(name, "a library, a class and where to load it from")
            return
        spec = Fields(f"{index.name}: {name}", value[2], self.documents.tell)
        library, kind = _type_of(value[:2], spec)
        repo = spec.text("pretrained_model_name_or_path", "repo")
        folder = self._folder(spec)
        if repo is None or folder is None:
            return  # whoever runs the pipeline gives it, or the index is damaged there
        mark = spec.text("variant")
        if self._is_here(repo, folder):
            self.parts[name] = Part(name, library, kind, folder, mark)
        elif _REPO.fullmatch(repo):
            revision = spec.text("revision")
            self.elsewhere[name] = Elsewhere(name, library, kind, repo, folder, revision, mark)
        else:
            spec.wrong("pretrained_model_name_or_path", "the name of a repository")

    def _is_here(self, repo: str, folder: str) -> bool:
        listing = self.documents.listing
        if repo.casefold() == listing.repo.id.casefold():
            return True
        # A copy in a folder keeps its index, which names the repository that it is a copy of.
        return listing.repo.source == "local" and bool(folder and self.documents.files_in(folder))

    def _folder(self, spec: Fields) -> str | None:
        text = (spec.text("subfolder") or "").rstrip("/")
        try:
            return RepoPath(text) if text else ""
        except UnsafePath as error:
            self.documents.tell(f"{spec.name}: subfolder: {error.message}")
            return None


def _lists_a_part(value: Any) -> bool:
    """Whether a value is meant to be a part: any list but one of plain numbers."""
    return isinstance(value, list) and not all(isinstance(item, int | float) for item in value)


def _type_of(given: list[Any], spec: Fields) -> tuple[str, str]:
    """The library and class of a part; where they are not given, those that its type hint names."""
    hint = spec.values.get("type_hint")
    for pair in (given, hint):
        if isinstance(pair, list) and len(pair) == 2 and all(map(_is_name, pair)):
            return pair[0], pair[1]
    return "", ""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 300 and value.isprintable()
