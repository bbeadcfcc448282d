"""From a repository's listing and metadata to its models: pure functions, a file or a folder a family."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from modelhub.facts import Evidence, Model, RepoFile, RepoListing, RepoWarning
from modelhub.formats import PICKLE_SUFFIXES
from modelhub.refs import RepoPath
from modelhub.registry.introspect.adapters import AdaptersFamily
from modelhub.registry.introspect.base import (
    FROM_CARD,
    FROM_CONFIG,
    FROM_HEADER,
    FROM_NAME,
    Family,
    Findings,
    Metadata,
    Sister,
    WithSisters,
)
from modelhub.registry.introspect.cards import card_warnings
from modelhub.registry.introspect.diffusers import DiffusersFamily, layout_findings
from modelhub.registry.introspect.discovery import Introspectors
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.files import DESCRIBING, MAX_FILE, classify, metadata_wanted
from modelhub.registry.introspect.gguf import GGUFFamily
from modelhub.registry.introspect.guarded import Guarded, is_broken
from modelhub.registry.introspect.license_texts import text_evidence
from modelhub.registry.introspect.licenses import access_warnings, card_evidence, license_warnings
from modelhub.registry.introspect.naming import unique
from modelhub.registry.introspect.onnx import ONNXFamily
from modelhub.registry.introspect.plugin import API_VERSION, Introspector
from modelhub.registry.introspect.recipes import (
    RecipeSet,
    apply_recipes,
    built_in,
    recipe_headers,
    stated_tasks,
)
from modelhub.registry.introspect.transformers import TransformersFamily
from modelhub.registry.introspect.weighing import weighed
from modelhub.registry.introspect.weights import PICKLES_ARE

__all__ = [
    "API_VERSION",
    "DESCRIBING",
    "FAMILIES",
    "FROM_CARD",
    "FROM_CONFIG",
    "FROM_HEADER",
    "FROM_NAME",
    "MAX_FILE",
    "READER",
    "Documents",
    "Family",
    "Fields",
    "Findings",
    "Introspector",
    "Introspectors",
    "Metadata",
    "Sister",
    "WithSisters",
    "classify",
    "files_wanted",
    "find_families",
    "find_introspectors",
    "headers_wanted",
    "introspect",
    "metadata_wanted",
    "sisters_wanted",
]

READER = 11
"""Raised whenever the same repository would be read otherwise: its commits are then read again."""

MAX_DAMAGED = 20
"""Of how many damaged weight files is told."""

ARCHIVES = (
    ".7z",
    ".bz2",
    ".gz",
    ".keras",
    ".lz4",
    ".mar",
    ".nemo",
    ".rar",
    ".tar",
    ".tgz",
    ".txz",
    ".xz",
    ".zip",
    ".zst",
)
"""Names of archives and of compressed files. What NumPy and PyTorch keep in zip files is weights."""

FAMILIES: tuple[Family, ...] = (
    DiffusersFamily(),
    TransformersFamily(),
    GGUFFamily(),
    ONNXFamily(),
    AdaptersFamily(),
)
"""Each that matches a repository describes its part of it."""


def find_introspectors() -> Introspectors:
    """The plugins of this Python environment, of which none is imported yet."""
    return Introspectors(family.name for family in FAMILIES)


def find_families(listing: RepoListing, families: Sequence[Family] = FAMILIES) -> tuple[Family, ...]:
    """The families of a repository, by its file names."""
    return tuple(family for family in families if family.matches(listing))


def files_wanted(listing: RepoListing, families: Sequence[Family] = FAMILIES) -> tuple[RepoFile, ...]:
    """The small files that `introspect` would like to have."""
    plugins = (each for each in find_families(listing, families) if isinstance(each, Guarded))
    return metadata_wanted(
        listing.files, (path for each in plugins for path in each.files_wanted(listing))
    )


def headers_wanted(
    listing: RepoListing, families: Sequence[Family] = FAMILIES, recipes: RecipeSet | None = None
) -> tuple[RepoPath, ...]:
    """The weight files whose headers `introspect` would like to have, with the same recipes."""
    found = find_families(listing, families)
    wanted = (path for family in found for path in family.headers_wanted(listing))
    matched = (built_in() if recipes is None else recipes).matching(listing)
    return tuple(dict.fromkeys((*wanted, *recipe_headers(matched, listing))))


def sisters_wanted(listing: RepoListing, families: Sequence[Family] = FAMILIES) -> tuple[Sister, ...]:
    """The weight files of whose headers `introspect` would like to have the tensor table."""
    found = (each for each in find_families(listing, families) if isinstance(each, WithSisters))
    return tuple(sister for family in found for sister in family.sisters_wanted(listing))


def introspect(
    listing: RepoListing,
    metadata: Metadata,
    families: Sequence[Family] = FAMILIES,
    recipes: RecipeSet | None = None,
) -> Findings:
    """The models of a repository, with the evidence for them and what a person should know.

    Weight files whose headers were refused are none of any model's, and told. `recipes` say what the
    repository does not; those that come with modelhub, unless others are given.
    """
    listing = _undamaged(listing, metadata)
    matched = (built_in() if recipes is None else recipes).matching(listing, metadata)
    metadata = replace(metadata, stated=stated_tasks(matched, listing))
    found = [family.describe(listing, metadata) for family in find_families(listing, families)]
    layout = layout_findings(listing, metadata)
    whole = apply_recipes(matched, listing, metadata, _all(listing, metadata, [*found, layout]))
    if all(map(is_broken, found)) and not whole.models:
        found.append(_unknown(listing, families))
        whole = apply_recipes(matched, listing, metadata, _all(listing, metadata, [*found, layout]))
    models = tuple(weighed(model, metadata) for model in _together(whole.models))
    warnings = (
        *access_warnings(listing),
        *card_warnings(listing, metadata),
        *license_warnings(whole.evidence, models),
        *_damage(metadata),
        *_archives(listing),
        *whole.warnings,
    )
    return Findings(models, whole.evidence, tuple(dict.fromkeys(warnings)))


def _all(listing: RepoListing, metadata: Metadata, found: Sequence[Findings]) -> Findings:
    """What the card, licence files and all families say, one behind the other."""
    evidence = (*card_evidence(listing), *text_evidence(listing, metadata))
    return Findings(
        models=tuple(model for each in found for model in each.models),
        evidence=(*evidence, *(row for each in found for row in each.evidence)),
        warnings=tuple(warning for each in found for warning in _told(each, found)),
    )


def _undamaged(listing: RepoListing, metadata: Metadata) -> RepoListing:
    if not metadata.damaged:
        return listing
    files = tuple(file for file in listing.files if file.path not in metadata.damaged)
    return listing.model_copy(update={"files": files})


def _damage(metadata: Metadata) -> Iterator[RepoWarning]:
    for error in islice(metadata.damaged.values(), MAX_DAMAGED):
        text = f"{error.message}; the file is passed over."
        yield RepoWarning(code="header.damaged", text=text)


def _told(findings: Findings, found: Iterable[Findings]) -> Iterator[RepoWarning]:
    """The warnings of one family; that it lacks weights is no matter where another has them."""
    elsewhere = not findings.models and any(each.models for each in found)
    yield from (each for each in findings.warnings if not (elsewhere and each.code == "weights.missing"))


def _together(models: Iterable[Model]) -> tuple[Model, ...]:
    """One model in two formats is one; two models of one name are told apart by their formats."""
    whole: dict[tuple[str, str], Model] = {}
    for model in models:
        key = model.name, model.task
        whole[key] = _joined(whole[key], model) if key in whole else model
    found = list(whole.values())
    names = unique([model.name, f"{model.name}-{model.variants[0].format}"] for model in found)
    return tuple(
        model.model_copy(update={"name": name}) for model, name in zip(found, names, strict=True)
    )


def _joined(model: Model, other: Model) -> Model:
    variants = (*model.variants, *other.variants)
    names = unique([variant.name, f"{variant.format}-{variant.name}"] for variant in variants)
    renamed = (
        variant.model_copy(update={"name": name}) for variant, name in zip(variants, names, strict=True)
    )
    return model.model_copy(
        update={
            "variants": tuple(sorted(renamed, key=lambda variant: (-variant.quality, variant.name))),
            "subtask": model.subtask or other.subtask,
            "architecture": model.architecture or other.architecture,
            "parameters": model.parameters or other.parameters,
            "context_length": model.context_length or other.context_length,
            "details": other.details | model.details,
        }
    )


def _unknown(listing: RepoListing, families: Sequence[Family]) -> Findings:
    suffixes = ", ".join(_suffixes(listing)) or "no files"
    row = Evidence(
        subject="repository",
        key="family",
        value=None,
        evidence=f"file names: {suffixes}",
        trust=FROM_NAME,
    )
    known = ", ".join(family.name for family in families)
    text = f"No model was recognised in its files ({suffixes}). modelhub reads: {known}, and what its recipes describe."
    warnings = (RepoWarning(code="family.unknown", text=text), *_pickles(listing))
    return Findings(evidence=(row,), warnings=warnings)


def _pickles(listing: RepoListing) -> Iterator[RepoWarning]:
    first = next((file.path for file in listing.files if file.path.suffix in PICKLE_SUFFIXES), None)
    if first:
        text = f"{first} may be a pickle, which can run code when it is loaded. {PICKLES_ARE}"
        yield RepoWarning(code="format.pickle", text=text)


def _archives(listing: RepoListing) -> Iterator[RepoWarning]:
    """Weights may be in them: in names that lead out of a folder, or a thousand times their size."""
    found = [file.path for file in listing.files if file.path.lower().endswith(ARCHIVES)]
    if found:
        some = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        text = (
            f"{some}: archives, of which modelhub unpacks none. What is in them is none of any model's."
        )
        yield RepoWarning(code="format.archive", text=text)


def _suffixes(listing: RepoListing) -> Iterator[str]:
    yield from sorted({file.path.suffix for file in listing.files if file.path.suffix})[:20]
