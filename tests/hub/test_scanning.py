"""What picklescan says, within bounds. It decides nothing: tests/hub/test_pickles.py."""

import logging
import os
import pickle
import sys
import zipfile
from pathlib import Path

import pytest

from modelhub.hub.scanning import MAX_READ, scan_pickle

pytest.importorskip("picklescan", reason="modelhub[torch] is not installed")


class Calls:
    def __init__(self, function: object) -> None:
        self.function = function

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return self.function, ("x",)


def archive(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as written:
        for name, data in members:
            written.writestr(name, data)
    return path


def plain(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_what_it_says(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    assert scan_pickle(plain(file, pickle.dumps({"a": 1}))).label == "clean"
    bad = scan_pickle(plain(file, pickle.dumps(Calls(os.system))))
    assert bad.label == "dangerous"
    assert any("system" in name for name in bad.found)
    assert "That is advice" in str(bad)
    odd = scan_pickle(plain(file, b"cnobody\nknows\n."))
    assert (odd.label, odd.found) == ("suspicious", ("nobody.knows",))


def test_an_archive_is_read_and_not_unpacked(tmp_path: Path) -> None:
    folder = tmp_path / "only"
    folder.mkdir()
    bad = pickle.dumps(Calls(os.system))
    found = scan_pickle(archive(folder / "a.bin", ("a/data.pkl", bad), ("../../b", b"x")))
    assert found.label == "dangerous"
    assert [each.name for each in tmp_path.rglob("*")] == ["only", "a.bin"]


def test_bombs_are_not_inflated(tmp_path: Path) -> None:
    one = archive(tmp_path / "a.bin", ("a/data.pkl", b"(" * (MAX_READ + 1)))
    two = archive(tmp_path / "b.bin", ("a/data.pkl", b"N."), ("a/more.pkl", b"(" * MAX_READ))
    for bomb in (one, two):
        assert bomb.stat().st_size < MAX_READ / 100
        found = scan_pickle(bomb)
        assert found.label == "unreadable"
        assert f"more than {MAX_READ:,} bytes" in found.found[0]


@pytest.mark.parametrize("data", [b"", b"\x80\x05\x95", b"PK\x03\x04" + bytes(26) + b"a/data.pkl"])
def test_what_is_damaged_has_a_label_too(tmp_path: Path, data: bytes) -> None:
    assert scan_pickle(plain(tmp_path / "a.bin", data)).label in {"clean", "unreadable"}
    assert scan_pickle(tmp_path / "nothing.bin").label == "unreadable"


def test_without_the_scanner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picklescan", None)
    assert scan_pickle(tmp_path / "a.bin").label == "unscanned"


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("picklescan")
    logger.propagate = False
    try:
        scan_pickle(plain(tmp_path / "a.bin", pickle.dumps(Calls(os.system))))
    finally:
        logger.propagate = True
    assert capfd.readouterr() == ("", "")
