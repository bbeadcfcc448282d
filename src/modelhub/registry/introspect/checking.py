"""Whether what a plugin found can be believed: it may be wrong, and a stranger's file may have made it so."""

import re
from collections.abc import Iterable, Iterator

from pydantic import ValidationError

from modelhub.facts import Component, Evidence, Fact, Model, RepoListing, RepoWarning
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import Findings
from modelhub.registry.introspect.documents import is_plain
from modelhub.registry.introspect.weight_names import plain_name
from modelhub.tasks import TASKS

__all__ = ["HEADERS", "find_fault", "wanted_fault"]

MAX_MODELS = 256
MAX_VARIANTS = 64
MAX_FILES = 100_000
MAX_ROWS = 1000
MAX_WARNINGS = 50
MAX_TEXT = 2000
MAX_WORD = 200
MAX_WHOLE = 1 << 53
MAX_MODEL = 16 << 20
"""Bytes of a model as JSON."""
MAX_WANTED = 64

HEADERS = (".gguf", ".onnx", ".safetensors")
"""What files end in whose headers can be read."""

_CODE = re.compile(r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*")
_TASKS = frozenset(task.id for task in TASKS)


def find_fault(findings: object, listing: RepoListing) -> str:
    """What is wrong with findings of a plugin, in a repository with these files; empty if nothing."""
    if not isinstance(findings, Findings):
        return f"found {type(findings).__name__!r:.60}, where Findings must be"
    return next(_faults(findings, listing), "")


def wanted_fault(wanted: object, listing: RepoListing, suffixes: tuple[str, ...] = ("",)) -> str:
    """What is wrong with the files that a plugin asks for; empty if nothing."""
    if not isinstance(wanted, tuple) or len(wanted) > MAX_WANTED:
        return f"asks for files by something else than a tuple of at most {MAX_WANTED}"
    for path in wanted:
        if not isinstance(path, RepoPath) or path not in listing.by_path:
            return f"asks for {path!r:.100}, which is no file of the repository"
        if not path.endswith(suffixes):
            return f"asks for the header of {path!r:.100}, which has none that can be read"
    return ""


def _faults(findings: Findings, listing: RepoListing) -> Iterator[str]:
    for name, kind, most in (
        ("models", Model, MAX_MODELS),
        ("evidence", Evidence, MAX_ROWS),
        ("warnings", RepoWarning, MAX_WARNINGS),
    ):
        values = getattr(findings, name)
        if not isinstance(values, tuple) or not all(type(value) is kind for value in values):
            yield f"has no tuple of {kind.__name__} in its {name}"
            return
        if len(values) > most:
            yield f"found {len(values):,} {name}, of which {most:,} are allowed"
            return
        yield from _unfit(values, kind)
    yield from _twice("models", (model.name for model in findings.models))
    for model in findings.models:
        yield from _model_faults(model, listing)
    for row in findings.evidence:
        if row.key == "license" and not isinstance(row.value, str):
            yield f"states the license {row.value!r:.60}, which is no text"
        if max(len(row.subject), len(row.key), len(row.evidence)) > MAX_TEXT:
            yield f"has evidence of more than {MAX_TEXT:,} characters"
    for warning in findings.warnings:
        if not _CODE.fullmatch(warning.code) or len(warning.text) > MAX_TEXT:
            yield f"warns with the code {warning.code!r:.60} or a text of more than {MAX_TEXT:,} characters"


def _unfit(values: Iterable[Fact], kind: type[Fact]) -> Iterator[str]:
    """Values that were put together past their own checks, or that no database can hold."""
    for value in values:
        try:
            text = value.model_dump_json()
            kind.model_validate_json(text)
        except (ValidationError, ValueError, TypeError, RecursionError) as error:
            yield f"has a {kind.__name__} that is none: {str(error).splitlines()[0]:.200}"
            continue
        if len(text) > MAX_MODEL or not is_plain(text):
            yield f"has a {kind.__name__} that is too large, or holds half a character"


def _model_faults(model: Model, listing: RepoListing) -> Iterator[str]:
    if not model.name or plain_name(model.name) != model.name:
        yield f"calls a model {model.name!r:.60}, which no reference can spell"
    yield from _bounds(model.name, model, ("context_length", "parameters"))
    yield from _words(model.name, model, ("category", "subtask", "architecture"))
    if model.task not in _TASKS:
        yield f"gives {model.name} the task {model.task!r:.60}, which modelhub does not know"
    if not 0 < len(model.variants) <= MAX_VARIANTS:
        yield f"gives {model.name} {len(model.variants):,} variants, where 1 to {MAX_VARIANTS} must be"
    yield from _twice(f"variants of {model.name}", (variant.name for variant in model.variants))
    for variant in model.variants:
        yield from _bounds(variant.name, variant, ("parameters",))
        yield from _words(variant.name, variant, ("name", "format", "precision"))
        names = [part.name for part in variant.components]
        yield from _twice(f"components of {model.name}:{variant.name}", names)
        if not names or sum(len(part.files) for part in variant.components) > MAX_FILES:
            yield f"gives {model.name}:{variant.name} no components, or more than {MAX_FILES:,} files"
        for part in variant.components:
            yield from _component_faults(part, listing)


def _component_faults(part: Component, listing: RepoListing) -> Iterator[str]:
    yield from _bounds(part.name, part, ("parameters",))
    yield from _words(part.name, part, ("name", "repo", "source", "format", "precision"))
    if part.source or part.repo != listing.repo.id:
        return
    for file in part.files:
        if listing.by_path.get(file.path) != file:
            yield f"has {file.path!r:.100} in {part.name}, which is not as the repository lists it"


def _bounds(name: str, fact: Fact, fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        value = getattr(fact, field)
        if value is not None and not 0 <= value <= MAX_WHOLE:
            yield f"gives {name} {value!r:.40} as {field}"


def _words(name: str, fact: Fact, fields: Iterable[str]) -> Iterator[str]:
    for field in fields:
        value = getattr(fact, field)
        if value and not (value.isprintable() and len(value) <= MAX_WORD):
            yield f"gives {name:.60} a {field} that is no name of at most {MAX_WORD} characters"


def _twice(what: str, names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield f"names two {what} {name!r:.60}"
        seen.add(name)
