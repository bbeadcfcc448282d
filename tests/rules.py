"""The table of the runtime contract: rules × runtimes × hosts. `pytest --rules tests/runtimes` prints it."""

from collections import defaultdict
from typing import Any

import pytest

from modelhub.facts.base import table

_SIGNS = {"passed": "✓", "failed": "✗", "skipped": "–"}


class RuleTable:
    """Remembers how each rule went for each class of tests and each host."""

    def __init__(self) -> None:
        self._cells: dict[str, dict[str, dict[str, str]]] = defaultdict(lambda: defaultdict(dict))
        self._rules: dict[str, tuple[str, str, str]] = {}

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if isinstance(item, pytest.Function) and item.get_closest_marker("modelhub_rule"):
                host = getattr(item, "callspec", None)
                where = str(host.params.get("host", "any")) if host else "any"
                name = item.parent.name.removeprefix("Test") if item.parent else "?"
                rule = item.originalname.removeprefix("test_").replace("_", " ")
                self._rules[item.nodeid] = (rule, name, where)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        known = self._rules.get(report.nodeid)
        if known and (report.when == "call" or report.outcome != "passed"):
            rule, name, where = known
            cell = self._cells[rule][name]
            cell[where] = _SIGNS[report.outcome] if cell.get(where) != "✗" else "✗"

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        names = sorted({name for cells in self._cells.values() for name in cells})
        rows = [
            [rule, *(_cell(cells.get(name, {})) for name in names)]
            for rule, cells in self._cells.items()
        ]
        terminalreporter.section("rules of the runtime contract: in a thread, in a process")
        terminalreporter.write_line(table(["rule", *names], rows))


def _cell(hosts: dict[str, str]) -> str:
    """`✓ ✓` is: it holds in a thread and in a process. A rule that needs no model has one sign."""
    if "any" in hosts:
        return hosts["any"]
    return " ".join(hosts.get(host, " ") for host in ("thread", "process")).rstrip()
