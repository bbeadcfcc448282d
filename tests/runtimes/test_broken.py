"""Every rule of the contract fails for a runtime that breaks it."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

from modelhub.runtimes.testing import ChatContract, StepsContract
from tests.runtimes.broken import suite

ROOT = Path(__file__).resolve().parents[2]


def rules() -> set[str]:
    found = {*dir(ChatContract), *dir(StepsContract)}
    return {name.removeprefix("test_") for name in found if name.startswith("test_")}


def test_there_is_a_broken_runtime_for_every_rule():
    assert {*suite.CHAT, *suite.STEPS} == rules()


def test_every_rule_notices_the_runtime_that_breaks_it(tmp_path):
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, suite.__file__], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    cases = list(ET.parse(report).iter("testcase"))
    red = {case.attrib["name"] for case in cases if case.find("failure") is not None}
    assert red == {f"test_{rule}" for rule in rules()}, done.stdout[-3000:]
