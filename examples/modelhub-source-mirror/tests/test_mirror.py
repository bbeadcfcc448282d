from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
from modelhub_source_mirror import MirrorSource

from modelhub import Hub, ModelRef
from modelhub.errors import SourceError, UnsafePath
from modelhub.sources import Source
from modelhub.sources.testing import SourceContract

REF = ModelRef.parse("mirror://acme/tiny")
FILES = {"README.md": b"# Tiny\n", "weights/a.bin": bytes(range(256)) * 400, "empty": b""}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The repository `acme/tiny` on a mirror of its own."""
    monkeypatch.setenv("MODEL_MIRROR", str(tmp_path / "mirror"))
    return publish(tmp_path / "mirror/acme/tiny", FILES)


def publish(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    sums = (f"{sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    (folder / "SHA256SUMS").write_text("".join(sums))
    return folder


class TestMirror(SourceContract):
    def make_source(self) -> Source:
        return MirrorSource()

    def reference(self) -> ModelRef:
        return REF

    def content(self) -> Mapping[str, bytes]:
        return FILES

    def missing_reference(self) -> ModelRef:
        return ModelRef.parse("mirror://acme/nothing")


def test_a_repository_that_was_published_anew_is_another_commit(folder):
    source = MirrorSource()
    before = source.describe(REF)
    publish(folder, FILES | {"README.md": b"# Tiny, again\n"})
    assert source.describe(REF).commit != before.commit
    with pytest.raises(SourceError, match="has changed"):
        source.read(before, before.files[0], 0, 4)


def test_a_list_that_leads_out_of_the_folder_is_refused(folder):
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  ../secret\n")
    with pytest.raises(UnsafePath):
        MirrorSource().describe(REF)


def test_a_hub_that_is_offline_reads_from_it(tmp_path):
    with Hub(home=tmp_path / "home", offline=True) as hub:
        files = {file.path: file.sha256 for file in hub.files("mirror://acme/tiny")}
    assert files == {name: sha256(data).hexdigest() for name, data in FILES.items()}
