"""Which folders in a temporary folder are swept, and which are nobody's business."""

from pathlib import Path

import pytest

from modelhub.runtimes.llama_server.folder import MARKER, SOCKET, SocketFolder, sweep


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    parent = tmp_path / "t"
    parent.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(parent))
    monkeypatch.setattr("modelhub.runtimes.llama_server.folder._LONGEST_SOCKET_PATH", 1000)
    return parent


def folder(parent: Path, name: str, *files: str) -> Path:
    made = parent / name
    made.mkdir()
    for file in files:
        (made / file).write_text("")
    return made


def test_only_what_an_engine_left_is_swept(parent: Path) -> None:
    dead = folder(parent, "modelhub-dead", MARKER, SOCKET)
    early = folder(parent, "modelhub-early", MARKER)
    kept = [
        folder(parent, "modelhub-postgres-x", "data"),
        folder(parent, "modelhub-empty"),
        folder(parent, "modelhub-unmarked", SOCKET),
        folder(parent, "modelhub-more", MARKER, SOCKET, "precious"),
        folder(parent, "other", MARKER, SOCKET),
    ]
    (parent / "modelhub-file").write_text("mine")
    (parent / "modelhub-link").symlink_to(parent / "other")
    before = {made: sorted(made.iterdir()) for made in kept}
    assert sweep(parent) == 2
    assert not dead.exists()
    assert not early.exists()
    assert {made: sorted(made.iterdir()) for made in kept} == before
    assert (parent / "modelhub-file").read_text() == "mine"
    assert (parent / "modelhub-link").is_symlink()


def test_a_marker_that_is_a_link_or_a_folder_is_none(parent: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    linked = folder(parent, "modelhub-linked")
    (linked / MARKER).symlink_to(tmp_path / "elsewhere")
    (folder(parent, "modelhub-deep") / MARKER).mkdir()
    assert sweep(parent) == 0
    assert (linked / MARKER).is_symlink()


def test_a_new_folder_sweeps_and_is_not_swept(parent: Path) -> None:
    dead = folder(parent, "modelhub-dead", MARKER, SOCKET)
    mine = SocketFolder()
    assert not dead.exists()
    other = SocketFolder()
    assert sweep(parent) == 0
    assert sorted(parent.iterdir()) == sorted([mine.path, other.path])
    mine.remove()
    other.remove()
    assert list(parent.iterdir()) == []
