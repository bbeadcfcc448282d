"""What fault tests count comes to one table, from whichever process they ran in."""

import os

import pytest

from tests.tally import FaultTable, summary

pytest_plugins = ("pytester",)

FAULTY = """
from tests.tally import FaultTable, tally

def test_survives(tally):
    tally(rounds=2, injected=3)
    tally(injected=1, detected=4)

def test_loses(tally):
    tally(rounds=1, lost=1)

def test_says_nothing(tally):
    pass
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_counts_come_together(pytester, processes, pytestconfig, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pytestconfig.rootpath), prepend=os.pathsep)
    pytester.makepyfile(FAULTY)
    pytester.makeconftest(
        "from tests.tally import FaultTable\n"
        "def pytest_configure(config):\n    config.pluginmanager.register(FaultTable())\n"
    )
    done = pytester.runpytest_subprocess("-n", processes, "-p", "no:cacheprovider")
    done.assert_outcomes(passed=3, errors=2)
    done.stdout.re_match_lines_random(
        [
            r".*test_survives +2 +4 +4 +0 +0 +0",
            r".*test_loses +1 +0 +0 +0 +1 +0",
            r"all +3 +4 +4 +0 +1 +0",
            r".*1 blobs were lost.*",
        ]
    )


def test_the_same_test_on_both_databases_is_one_line():
    table = FaultTable()
    for where in ("sqlite", "postgres"):
        report = pytest.TestReport(
            f"tests/test_x.py::test_y[{where}]",
            ("", 0, ""),
            {},
            "passed",
            None,
            "teardown",
            user_properties=[("faults", {"rounds": 2})],
        )
        table.pytest_runtest_logreport(report)
    (line,) = [line for line in summary(table._counts).splitlines() if line.startswith("test_x")]
    assert line.split() == ["test_x.py::test_y", "4", "0", "0", "0", "0", "0"]
