"""Introspectors as pip would have installed them: what they find is in reports, what is wrong is told."""

import sys
from pathlib import Path

import pytest

from modelhub import Hub
from modelhub.hub.doctor import diagnose
from modelhub.registry.introspect import discovery

SOURCE = """
from modelhub.facts import Component, Evidence, Model, Variant
from modelhub.refs import RepoPath
from modelhub.registry.introspect import FROM_CONFIG, Findings, Introspector

class Toy(Introspector):
    name = "toy"

    def matches(self, listing):
        return "toy.txt" in listing.by_path

    def files_wanted(self, listing):
        return (RepoPath("toy.txt"),)

    def describe(self, listing, metadata):
        task = metadata.files["toy.txt"].decode()
        part = Component(name="model", repo=listing.repo.id, commit=listing.commit, files=listing.files)
        row = Evidence(subject="model:toy", key="task", value=task, evidence="toy.txt", trust=FROM_CONFIG)
        variant = Variant(name="toy", format="toy", components=(part,))
        return Findings((Model(name="toy", task=task, category="llm", variants=(variant,)),), (row,))
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs version `version` of a plugin with this source, in place of the one before."""
    folder = tmp_path / "installed"
    monkeypatch.syspath_prepend(str(folder))

    def put(source: str, version: str = "1.0") -> None:
        for old in folder.glob("toys-*"):
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        info = folder / f"toys-{version}.dist-info"
        info.mkdir(parents=True)
        name = f"toys_{version.replace('.', '_')}"
        (folder / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toys\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[{discovery.GROUP}]\ntoy = {name}:Toy\n")
        monkeypatch.syspath_prepend(str(folder))  # what was looked up of it is forgotten

    yield put
    for name in [name for name in sys.modules if name.startswith("toys_")]:
        del sys.modules[name]


@pytest.fixture
def repository(tmp_path) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "toy.txt").write_text("text-classification")
    (folder / "weights.toy").write_bytes(bytes(100))
    return folder


def test_what_it_finds_is_in_the_report(install, repository, tmp_path):
    install(SOURCE)
    with Hub(home=tmp_path / "home") as hub:
        report = hub.inspect(repository)
        (model,) = report.models
        assert (model.task, model.variants[0].bytes) == ("text-classification", 119)
        assert [found.task for found in hub.models(task="text-classification")] == [model.task]
    found = {finding.subject: finding for finding in diagnose(home=tmp_path / "home").findings}
    assert (found["introspectors"].ok, found["introspectors"].text) == (True, "toy of toys 1.0")


def test_one_that_is_broken_is_told_and_its_repositories_are_read_again(install, repository, tmp_path):
    install("raise ImportError('no toys today')")
    with Hub(home=tmp_path / "home") as hub:
        codes = {warning.code: warning.text for warning in hub.inspect(repository).warnings}
        assert "family.unknown" in codes
        assert (
            "'toy' of toys 1.0 cannot be imported: ImportError: no toys today" in codes["family.broken"]
        )
    found = {finding.subject: finding for finding in diagnose(home=tmp_path / "home").findings}
    assert not found["introspectors"].ok
    assert "pip install --upgrade toys" in found["introspectors"].advice
    install(SOURCE, "1.1")
    with Hub(home=tmp_path / "home") as hub:
        assert [model.name for model in hub.sync(repository).models] == ["toy"]


def test_another_version_reads_a_known_commit_anew(install, repository, tmp_path):
    install(SOURCE)
    with Hub(home=tmp_path / "home") as hub:
        assert hub.sync(repository).models[0].category == "llm"
    install(SOURCE.replace('category="llm"', 'category="vision"'), "2.0")
    with Hub(home=tmp_path / "home") as hub:
        assert hub.inspect(repository).models[0].category == "llm"  # a known commit is not looked at
        assert hub.sync(repository).models[0].category == "vision"
