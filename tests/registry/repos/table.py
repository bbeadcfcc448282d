"""What the repositories came to: a table at the end of the test run."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from modelhub.facts.base import table

PROPERTY = "repository"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A repository that was read through a hub: its facts, and the bytes that were sent for it."""

    repo: str
    family: str
    evidenced: bool
    unknown: bool
    facts: int
    evidenced_facts: int
    pending: int
    bytes_read: int


HEAD = (
    "family",
    "repositories",
    "evidenced",
    "facts checked",
    "evidenced facts",
    "reconstructed",
    "pending",
    "bytes read (largest)",
)


class RepositoryTable:
    """Collects the outcomes that tests record, in whichever process they ran, and prints them."""

    def __init__(self) -> None:
        self._outcomes: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, dict):
                outcome = Outcome(**value)
                self._outcomes[outcome.repo] = outcome

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._outcomes:
            terminalreporter.section("what was found in public repositories")
            terminalreporter.write_line(summary(self._outcomes.values()))


def recorded(outcome: Outcome) -> dict[str, Any]:
    """An outcome as a report carries it from one process to another."""
    return asdict(outcome)


def summary(outcomes: Iterable[Outcome]) -> str:
    """The table, a family a line, with the totals below."""
    found = list(outcomes)
    families = sorted({outcome.family for outcome in found})
    rows = [_row(name, [each for each in found if each.family == name]) for name in families]
    unknown = sorted(outcome.repo for outcome in found if outcome.unknown)
    total = (
        f"evidenced repositories: {sum(outcome.evidenced for outcome in found)}; "
        f"{len(unknown)} of {len(found)} ended unknown: {', '.join(unknown) or 'none'}"
    )
    return f"{table(HEAD, [*rows, _row('all', found)])}\n{total}"


def _row(name: str, outcomes: list[Outcome]) -> tuple[str, ...]:
    facts = sum(outcome.facts for outcome in outcomes)
    counted = sum(outcome.evidenced_facts for outcome in outcomes)
    return (
        name,
        str(len(outcomes)),
        str(sum(outcome.evidenced for outcome in outcomes)),
        str(facts),
        str(counted),
        str(facts - counted),
        str(sum(outcome.pending for outcome in outcomes)),
        f"{max((outcome.bytes_read for outcome in outcomes), default=0):,}",
    )
