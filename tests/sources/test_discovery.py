"""Finding sources: real distributions on a real path, good, broken and hostile."""

import subprocess
import sys
import textwrap
from importlib.metadata import EntryPoint, distributions

import pytest

from modelhub.errors import InvalidReference, SourceError
from modelhub.sources import Sources
from modelhub.sources.huggingface import HuggingFaceSource
from modelhub.sources.local import LocalSource

PLUGIN = """
    from modelhub.sources import Source

    class Ours(Source):
        name = "ours"
        aliases = ("mine",)
        def describe(self, ref): ...
        def read(self, listing, file, start, end): ...
        def open(self, listing, file, start=0, end=None): ...
        def close(self): type(self).closed = True

    class Old(Ours):
        name = "old"
        api_version = 0

    class Failing(Ours):
        name = "failing"
        def __init__(self): raise RuntimeError("no disk")

    thing = object()
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Puts a distribution with entry points on the path; gives a `find` that sees only these."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = f"plugin_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{module}.py").write_text(textwrap.dedent(PLUGIN))
    (tmp_path / f"{module}_boom.py").write_text("raise SystemExit('boom')")

    def add(distribution, **points):
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        lines = [f"{name} = {value.format(module)}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[modelhub.sources]", *lines]))

    def find():
        found = distributions(path=[str(tmp_path)])
        return [point for dist in found for point in dist.entry_points]

    add.find = find
    add.module = module
    return add


def test_built_in_sources_need_no_metadata():
    sources = Sources(find=list)
    assert [entry.name for entry in sources.installed()] == ["huggingface", "local"]
    assert sources.load("huggingface") is sources.load("hf") is HuggingFaceSource
    assert sources.load("local") is sources.load("file") is LocalSource
    assert [sources.canonical(name) for name in ("hf", "file", "local")] == [
        "huggingface",
        "local",
        "local",
    ]


def test_the_installed_metadata_says_the_same():
    entries = Sources().installed()
    assert [entry.name for entry in entries if entry.distribution == "modelhub"] == [
        "huggingface",
        "local",
    ]


def test_aliases_of_the_classes_are_those_that_references_may_use():
    sources = Sources(find=list)
    for kind in (HuggingFaceSource, LocalSource):
        assert {sources.load(name) for name in (kind.name, *kind.aliases)} == {kind}


def test_sources_are_made_once_with_their_settings():
    sources = Sources(endpoint="http://127.0.0.1:1/", token="hf_x", find=list)
    source = sources.get("hf")
    assert source is sources.get("huggingface")
    assert source.endpoint == "http://127.0.0.1:1"
    sources.close()
    assert sources.get("hf") is not source


def test_plugin(install):
    install("ours", ours="{}:Ours", mine="{}:Ours")
    sources = Sources(find=install.find)
    assert ("ours", f"{install.module}:Ours", "ours", "1.0") in sources.installed()
    assert install.module not in sys.modules
    assert sources.canonical("mine") == "ours"
    source = sources.get("mine")
    assert source is sources.get("ours")
    sources.close()
    assert type(source).closed


def test_unknown_source(install):
    install("ours", ours="{}:Ours")
    with pytest.raises(InvalidReference, match="no source is named 'our'") as caught:
        Sources(find=install.find).get("our")
    assert caught.value.hint.startswith("Installed are: ours, ")
    assert sorted(caught.value.details["available"]) == ["file", "hf", "huggingface", "local", "ours"]


@pytest.mark.parametrize("name", ["ours", "huggingface", "hf"])
def test_two_distributions_with_one_name(install, name):
    install("first", **{name: "{}:Ours"})
    install("second", **{name: "{}:Other"})
    sources = Sources(find=install.find)
    with pytest.raises(
        SourceError, match=f"several distributions provide a source named '{name}'"
    ) as caught:
        sources.get(name)
    assert "first 1.0" in caught.value.message
    assert "second 1.0" in caught.value.message
    assert "pip uninstall second" in caught.value.hint
    assert sources.get("local").name == "local"
    assert install.module not in sys.modules


def test_a_plugin_cannot_take_our_name(install):
    install("evil", huggingface="{}_boom:x", hf="{}_boom:x")
    sources = Sources(find=install.find)
    for name in ("huggingface", "hf"):
        with pytest.raises(SourceError, match=r"evil 1\.0"):
            sources.get(name)
    assert f"{install.module}_boom" not in sys.modules


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("boom", "{}_boom:x", "cannot be imported: SystemExit: boom"),
        ("gone", "{}:Gone", "cannot be imported: AttributeError"),
        ("nowhere", "{}_nowhere:x", "cannot be imported: ModuleNotFoundError"),
        ("thing", "{}:thing", "is not a subclass"),
        ("old", "{}:Old", "has api_version 0"),
        ("other", "{}:Ours", "calls itself 'ours'"),
        ("failing", "{}:Failing", "cannot be made: RuntimeError: no disk"),
    ],
)
def test_broken_plugin_breaks_only_its_own_use(install, name, value, problem):
    install("plugin", **{name: value})
    sources = Sources(find=install.find)
    assert name in [entry.name for entry in sources.installed()]
    with pytest.raises(SourceError, match=f"the source '{name}' of plugin 1.0 {problem}") as caught:
        sources.get(name)
    assert "pip uninstall plugin" in caught.value.hint
    assert sources.get("local").name == "local"


def test_entry_point_without_a_distribution():
    sources = Sources(find=lambda: [EntryPoint("x", "nowhere:X", "modelhub.sources")])
    with pytest.raises(SourceError, match="of unknown 0 cannot be imported"):
        sources.get("x")


def test_heavy_modules_stay_out():
    code = """
        import sys
        from modelhub.sources import Sources
        sources = Sources()
        sources.installed(), sources.canonical("hf"), sources.get("local"), sources.get("hf")
        heavy = {"huggingface_hub", "httpx2", "yaml", "numpy", "torch", "sqlalchemy", "rich"}
        sys.exit(", ".join(sorted(heavy & sys.modules.keys())) or 0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
