"""What the fault tests came to: how much was broken on purpose, found, and put right. A table at the end."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from modelhub.facts.base import table

PROPERTY = "faults"
COLUMNS = ("rounds", "injected", "detected", "repaired", "lost", "wrong")


class Tally:
    """The counts of one test.

    `rounds` are lives or attempts; `injected` kills, flipped bits, failed calls and the like; `detected`
    those that the library noticed; `repaired` those after which all was as it should be. `lost` and `wrong`
    count blobs, and no test ends well that counted one.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, **counts: int) -> None:
        assert counts.keys() <= set(COLUMNS), counts
        self.counts.update(counts)


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """Where a fault test says what it did."""
    made = Tally()
    yield made
    # The report of the teardown carries it, from whichever process the test ran in.
    request.node.user_properties.append((PROPERTY, dict(made.counts)))
    assert made.counts["rounds"], "a fault test that says how often it tried"
    assert not made.counts["lost"], f"{made.counts['lost']} blobs were lost"
    assert not made.counts["wrong"], f"{made.counts['wrong']} blobs were wrong"


class FaultTable:
    """Adds up what the tests counted, each in a line, and prints it."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if name == PROPERTY and isinstance(value, dict):
                test = report.nodeid.partition("[")[0].removeprefix("tests/")
                self._counts.setdefault(test, Counter()).update(value)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self._counts:
            terminalreporter.section("faults that were survived")
            terminalreporter.write_line(summary(self._counts))


def summary(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The table, a test a line, with the sums below."""
    rows = [_row(test, counts[test]) for test in sorted(counts)]
    return table(("test", *COLUMNS), [*rows, _row("all", _sum(counts.values()))])


def _sum(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _row(test: str, counts: Mapping[str, int]) -> tuple[str, ...]:
    return (test, *(f"{counts.get(column, 0):,}" for column in COLUMNS))
