"""Archives in a repository: told, fetched as they are at most, never unpacked."""

import ast
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

import modelhub
from modelhub.errors import ModelHubError
from tests.zoo.repos import build_chat

CHAT = "zoo/with-archives"


def bomb(levels: int = 3, width: int = 16) -> bytes:
    """Zip archives in zip archives, as in 42.zip: some kilobytes that hold gigabytes."""
    data, name = b"\0" * (16 << 20), "0.dll"
    for level in range(levels):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as written:
            for number in range(width):
                written.writestr(f"{number}-{name}", data)
        data, name = file.getvalue(), f"{level}.zip"
    return data


def slipping_tar(outside: Path) -> bytes:
    """Members that lead out: absolute, by `..`, and through a link that comes first."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as written:
        for name in (str(outside / "absolute"), "../../../../../../relative"):
            member = tarfile.TarInfo(name)
            member.size = 4
            written.addfile(member, io.BytesIO(b"evil"))
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(outside)
        written.addfile(link)
        through = tarfile.TarInfo("link/through")
        through.size = 4
        written.addfile(through, io.BytesIO(b"evil"))
    return file.getvalue()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    return folder


@pytest.fixture
def repository(tmp_path: Path, outside: Path) -> Path:
    folder = build_chat(tmp_path / "chat")
    (folder / "weights.zip").write_bytes(bomb())
    (folder / "weights.tar.gz").write_bytes(slipping_tar(outside))
    return folder


def total(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def test_they_are_told_and_nothing_unpacks_them(hub, server, tmp_path, repository, outside):
    server.add(CHAT, repository)
    (warning,) = (each for each in hub.inspect(CHAT).warnings if each.code == "format.archive")
    assert warning.text.startswith(
        "weights.tar.gz, weights.zip: archives, of which modelhub unpacks none"
    )
    hub.pull(CHAT)
    assert server.bytes_sent("weights.zip") == server.bytes_sent("weights.tar.gz") == 0
    assert total(tmp_path / "home") < 2 * total(repository) + (4 << 20)
    assert not any(outside.iterdir())


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin", "model.gguf"])
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_under_the_name_of_weights_they_are_none(hub, server, tmp_path, repository, outside, name, kind):
    (repository / "model.safetensors").unlink()
    (repository / f"weights.{kind}").replace(repository / name)
    server.add(CHAT, repository)
    for what in (hub.sync, hub.inspect, hub.plan, hub.pull, lambda model: hub.chat(model, "x")):
        try:
            what(CHAT)
        except ModelHubError:
            continue
        assert what != hub.chat
    assert total(tmp_path / "home") < 2 * total(repository) + (4 << 20)
    assert not any(outside.iterdir())
    assert not (tmp_path / "relative").exists()


UNPACKING = {"extract", "extractall", "unpack_archive", "_extract_member"}


def test_nothing_in_modelhub_unpacks_archives():
    """Reading one member, as the scanner does, is not unpacking: nothing gets a name on the disk."""
    root = Path(os.fspath(Path(modelhub.__file__).parent))
    calls = [
        (path.relative_to(root), node.attr)
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and node.attr in UNPACKING
    ]
    assert not calls
