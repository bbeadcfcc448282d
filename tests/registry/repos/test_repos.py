"""Real repositories: what must be found in each is found, by the functions alone and through a Hub."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from modelhub.facts import Report

from .asking import ask
from .case import FOLDER, Case, load
from .conftest import TOKEN
from .rebuilt import Rebuilt
from .table import PROPERTY, Outcome, recorded

PATHS = sorted(FOLDER.glob("*.yaml"))
MOST_BYTES = 16_000_000
"""What may be read of a repository, and a thousandth of its weights where that is more."""

each = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@cache
def rebuilt(path: Path) -> Rebuilt:
    return Rebuilt(load(path))


def problems(case: Case, report: Report) -> list[str]:
    """The facts that do not hold, and those marked pending that do."""
    found = []
    for fact in case.facts:
        try:
            value: Any = ask(report, fact.what)
        except LookupError as error:
            value = f"nothing: {error}"
        holds = type(value) is type(fact.value) and value == fact.value
        if holds and fact.pending:
            found.append(f"{fact.what} is as expected now: take its mark `pending` away")
        elif not holds and not fact.pending:
            found.append(f"{fact.what} is {value!r}, where {fact.value!r} is expected")
    return found


def outcome(case: Case, report: Report, bytes_read: int) -> Outcome:
    """What a repository came to; facts that are pending are not counted as checked."""
    return Outcome(
        repo=case.repo,
        family=case.family,
        evidenced=case.evidenced,
        unknown=not report.models,
        facts=sum(not fact.pending for fact in case.facts),
        evidenced_facts=sum(not fact.pending for fact in case.evidenced_facts),
        pending=sum(bool(fact.pending) for fact in case.facts),
        bytes_read=bytes_read,
    )


def builds_on_others(report: Report) -> bool:
    """Whether a hub asks for further repositories, which need not be served here."""
    return any({"base", "components_elsewhere"} & model.details.keys() for model in report.models)


def told(report: Report) -> Any:
    """What a report says of its own repository, but for hashes that are known only once a small file
    was here.
    """
    models = report.model_dump(mode="json", exclude={"shared": True, "models": {"__all__": {"details"}}})
    for model in models["models"]:
        for variant in model["variants"]:
            for component in variant["components"]:
                component["files"] = [file["path"] for file in component["files"]]
    return models, [model.details for model in report.models]


@each
def test_what_must_be_found_is_found(path):
    subject = rebuilt(path)
    assert problems(subject.case, subject.report) == []


@each
def test_a_hub_finds_the_same_and_reads_little(path, hub, server, record_property):
    subject = rebuilt(path)
    case = subject.case
    server.add_listed(
        case.repo,
        case.commit,
        subject.files.values(),
        gated="manual" if case.gated else False,
        token=TOKEN,
    )
    server.reset_counts()
    synced = hub.sync(case.repo)
    read = server.bytes_sent()
    report = hub.inspect(case.repo)
    record_property(PROPERTY, recorded(outcome(case, report, read)))
    assert server.bytes_sent() == read
    # What it shares with the others here depends on which came before.
    assert report.model_copy(update={"shared": ()}) == synced
    assert problems(case, report) == []
    if not builds_on_others(report):
        assert told(report) == told(subject.report)
    assert read <= max(MOST_BYTES, subject.weight_bytes // 1000)


def test_at_most_a_tenth_ends_unknown():
    unknown = [path.stem for path in PATHS if not rebuilt(path).report.models]
    assert len(unknown) <= len(PATHS) / 10, unknown
