"""Gives models the files of the repositories that they refer to, and takes them away again."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from modelhub.facts import Evidence, Model, RepoId, RepoWarning
from modelhub.facts.licenses import OTHER, license_rows
from modelhub.registry.binding.adapters import with_base, without_base
from modelhub.registry.binding.pipelines import with_parts, without_parts
from modelhub.registry.binding.reference import (
    BASE,
    Known,
    Outcome,
    Problem,
    Reference,
    part_places,
    reference_of,
    references,
)
from modelhub.registry.introspect import Findings

__all__ = ["OURS", "bind", "unbind"]

OURS = frozenset(
    f"base.{what}"
    for what in ("cycle", "damaged", "deep", "gated", "missing", "unfit", "unread", "unreachable")
)
"""Codes of the warnings that binding gives, and takes away."""

_COPIED = (
    *("remote_code.elsewhere", "remote_code", "format.pickle", "gated"),
    *("license.conflict", "license.copyleft", "license.noncommercial"),
)


def bind(own: RepoId, findings: Findings, outcomes: Mapping[Reference, Outcome]) -> Findings:
    """The findings with what the references mean; without the files of those that mean nothing.

    `findings` are those of introspection, or of `unbind`; `outcomes` has an entry for each of
    `references`.
    """
    models, unfit = [], dict[str, None]()
    for model in findings.models:
        bound, problems = _bound(own, model, outcomes)
        models.append(bound)
        unfit.update(dict.fromkeys(problems))
    known = [each for each in outcomes.values() if isinstance(each, Known)]
    warnings = (
        *findings.warnings,
        *_problems(outcomes),
        *(RepoWarning(code="base.unfit", text=text) for text in unfit),
        *(warning for each in known for warning in _told(each)),
    )
    facts = (row for each in known for row in _stated(each, models))
    return Findings(
        tuple(models), (*findings.evidence, *_each_once(facts)), tuple(dict.fromkeys(warnings))
    )


def unbind(own: RepoId, findings: Findings) -> Findings:
    """What introspection found, before anything was bound to it."""
    others = {row.subject.removeprefix(OTHER) for row in findings.evidence if _is_other(row)}
    others |= {each.repo for each in references(own, findings.models)}
    others |= {
        part.repo
        for model in findings.models
        for variant in model.variants
        for part in variant.components
        if (part.source or own.source, part.repo) != (own.source, own.id)
    }
    told = tuple(f"{name}: " for name in others)
    return replace(
        findings,
        models=tuple(_unbound(own, model) for model in findings.models),
        evidence=tuple(row for row in findings.evidence if not _is_other(row)),
        warnings=tuple(
            each
            for each in findings.warnings
            if each.code not in OURS and not each.text.startswith(told)
        ),
    )


def _bound(own: RepoId, model: Model, outcomes: Mapping[Reference, Outcome]) -> tuple[Model, list[str]]:
    problems: list[str] = []
    if base := reference_of(own, model.details.get(BASE)):
        model, problems = with_base(own, model, base, outcomes[base])
    parts = {
        name: (reference, place, outcomes[reference])
        for name, place in part_places(model).items()
        if (reference := reference_of(own, place))
    }
    if parts:
        model, more = with_parts(own, model, parts)
        problems += more
    return model, problems


def _unbound(own: RepoId, model: Model) -> Model:
    if reference_of(own, model.details.get(BASE)):
        return without_base(own, model)
    return without_parts(own, model) if part_places(model) else model


def _problems(outcomes: Mapping[Reference, Outcome]) -> Iterator[RepoWarning]:
    for reference, outcome in outcomes.items():
        if isinstance(outcome, Problem):
            yield RepoWarning(code=outcome.code, text=f"It builds on {reference}, {outcome.text}.")


def _told(known: Known) -> Iterator[RepoWarning]:
    """What a person should know of another repository, said of that one."""
    repo = known.report.repo
    for warning in known.report.warnings:
        if warning.code in _COPIED or warning.code.startswith("base."):
            told = warning.text if _is_about_another(known, warning) else f"{repo}: {warning.text}"
            yield RepoWarning(code=warning.code, text=told)


def _is_about_another(known: Known, warning: RepoWarning) -> bool:
    others = (row.subject.removeprefix(OTHER) for row in known.report.facts if _is_other(row))
    return any(warning.text.startswith(f"{name}: ") for name in others)


def _stated(known: Known, models: Iterable[Model]) -> Iterator[Evidence]:
    """Under which licence another repository is, as far as what is taken of it goes."""
    repo = known.report.repo
    paths = [
        file.path
        for model in models
        for variant in model.variants
        for part, file in variant.files()
        if part.repo == repo
    ]
    for row in license_rows(known.report.facts):
        kind, _, name = row.subject.partition(":")
        if kind == "folder" and not any(path.startswith(f"{name}/") for path in paths):
            continue
        if _is_other(row):
            yield row
        else:
            said = {"subject": f"{OTHER}{repo}", "evidence": f"{repo}: {row.evidence}"}
            yield row.model_copy(update=said)


def _is_other(row: Evidence) -> bool:
    return row.subject.startswith(OTHER)


def _each_once(rows: Iterable[Evidence]) -> list[Evidence]:
    found: list[Evidence] = []
    for row in rows:
        if row not in found:
            found.append(row)
    return found
