"""The threat table names tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "explanation" / "security.md"
ROW = re.compile(r"^\| (\d+) \|(.*)\|$", re.MULTILINE)
ROWS = {int(number): text for number, text in ROW.findall(PAGE.read_text(encoding="utf-8"))}


def named(row: int) -> list[str]:
    return re.findall(r"`(tests/[\w/.]*)`", ROWS[row].rsplit("|", 1)[-1])


def test_every_threat_of_files_and_sources_has_a_row() -> None:
    assert set(ROWS) >= {1, 2, 3, 4, 5, 8, 9, 10, 11, 14, 15, 18, 20}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_names_files_with_tests(row: int) -> None:
    assert named(row)
    for name in named(row):
        path = ROOT / name
        assert path.is_file(), f"row {row} names {name}, which is no file"
        assert re.search(r"^\s*def test_", path.read_text(encoding="utf-8"), re.MULTILINE), name
