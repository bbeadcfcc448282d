"""What the repositories came to: a table at the end of the test run."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from modelhub.facts import Report

from .case import Case


@dataclass(frozen=True, slots=True)
class Outcome:
    """A repository that was read through a hub, and the bytes that its server sent for it."""

    case: Case
    report: Report
    bytes_read: int

    @property
    def unknown(self) -> bool:
        return not self.report.models


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


def lines(outcomes: Iterable[Outcome]) -> list[str]:
    """The table, a family a line, with the totals below."""
    found = list(outcomes)
    families: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in found:
        families[outcome.case.family].append(outcome)
    rows = [HEAD, *(_row(name, families[name]) for name in sorted(families)), _row("all", found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    evidenced = sum(outcome.case.evidenced for outcome in found)
    unknown = [outcome.case.repo for outcome in found if outcome.unknown]
    share = f"{len(unknown)} of {len(found)} ended unknown"
    return [*table, f"evidenced repositories: {evidenced}; {share}: {', '.join(unknown) or 'none'}"]


def _row(name: str, outcomes: list[Outcome]) -> tuple[str, ...]:
    cases = [outcome.case for outcome in outcomes]
    facts = [fact for case in cases for fact in case.facts if not fact.pending]
    counted = [fact for case in cases for fact in case.evidenced_facts if not fact.pending]
    return (
        name,
        str(len(cases)),
        str(sum(case.evidenced for case in cases)),
        str(len(facts)),
        str(len(counted)),
        str(len(facts) - len(counted)),
        str(sum(1 for case in cases for fact in case.facts if fact.pending)),
        f"{max((outcome.bytes_read for outcome in outcomes), default=0):,}",
    )
