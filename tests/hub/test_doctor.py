"""`doctor` on machines that are not well: it tells, and never fails itself."""

import sys
from importlib.metadata import distribution, version

import pytest

from modelhub.facts import Device, RuntimeView
from modelhub.hub import doctor
from modelhub.hub.doctor import Checkup, Finding, diagnose, examine
from modelhub.registry import Registry
from modelhub.runtimes.discovery import GROUP
from modelhub.settings import Settings
from modelhub.store import Store


@pytest.fixture(autouse=True)
def _environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    for name in ("MODELHUB_DATABASE_URL", "MODELHUB_STORE_URI", "MODEL_STORE_URI", "MODELHUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def findings(checkup: Checkup) -> dict[str, Finding]:
    return {finding.subject: finding for finding in checkup.findings}


def test_all_is_well(tmp_path):
    checkup = diagnose()
    assert checkup.ok
    assert checkup.home == str(tmp_path / "home")
    assert {subject: found.ok for subject, found in findings(checkup).items()} == {
        "database": True,
        "store": True,
        "links": True,
        "runtimes": True,
    }
    assert checkup == Checkup.model_validate_json(checkup.model_dump_json())


@pytest.mark.parametrize("url", ["nonsense", "mysql://me:secret@host/db", "sqlite:////dev/null"])
def test_a_database_that_cannot_be(url):
    checkup = diagnose(database=url)
    found = findings(checkup)
    assert not checkup.ok
    assert (found["database"].ok, found["store"].ok, found["runtimes"].ok) == (False, False, True)
    assert found["database"].advice
    assert "secret" not in checkup.model_dump_json()
    assert checkup.devices


def test_a_home_that_cannot_be_a_folder(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "file"))
    found = findings(diagnose())
    assert not found["database"].ok
    assert str(tmp_path / "file") in found["database"].text


def test_a_store_that_cannot_be():
    checkup = diagnose(store="s3://bucket/models")
    assert checkup.store == "s3://bucket/models"
    assert (findings(checkup)["database"].ok, findings(checkup)["store"].ok) == (True, False)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("MODELHUB_OFFLINE", "perhaps"), ("MODELHUB_HOST", "moon"), ("MODELHUB_HOME", "~no-such-user")],
)
def test_settings_that_cannot_be(monkeypatch, variable, value):
    monkeypatch.setenv(variable, value)
    checkup = diagnose()
    found = findings(checkup)
    assert set(found) == {"settings", "runtimes"}
    assert value in found["settings"].text
    assert variable in found["settings"].advice
    assert checkup.devices
    assert checkup.home == "(cannot be read)"


def test_what_nobody_foresaw_is_a_finding_too(monkeypatch, tmp_path):
    def fail(*_, **__):
        raise ZeroDivisionError("so it goes")

    settings = Settings.from_env({}, home=tmp_path)
    for where, name, subject in (
        (Registry, "open", "database"),
        (Store, "open", "store"),
        (doctor, "devices", "devices"),
        (doctor, "Runtimes", "runtimes"),
    ):
        with monkeypatch.context() as patched:
            patched.setattr(where, name, fail)
            checkup = examine(settings)
        told = [(f.ok, f.text) for f in checkup.findings if f.subject == subject]
        assert (False, "ZeroDivisionError: so it goes") in told
        assert "Python" in str(checkup)


PLUGIN = "raise ImportError('no such engine, and a long story about why that is so ' * 3)"


@pytest.fixture
def broken_plugin(tmp_path, monkeypatch):
    """A distribution whose runtime cannot be imported, as pip would have installed it."""
    folder = tmp_path / "installed"
    info = folder / "a_broken_plugin-2.1.dist-info"
    info.mkdir(parents=True)
    (folder / "a_broken_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-broken-plugin\nVersion: 2.1\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\na_broken_one = a_broken_plugin:Runtime\n")
    monkeypatch.syspath_prepend(str(folder))
    assert distribution("a-broken-plugin").version == "2.1"
    yield
    sys.modules.pop("a_broken_plugin", None)


@pytest.mark.usefixtures("broken_plugin")
def test_a_broken_plugin_is_shown_and_hides_no_other(without_engines):
    checkup = diagnose()
    views = {view.name: view for view in checkup.runtimes}
    assert not views["a_broken_one"].usable
    assert views["llama_server"].usable
    assert checkup.ok  # it is in nobody's way
    assert "\n    pip install --upgrade a-broken-plugin\n" in str(checkup)
    without_engines()
    found = findings(diagnose())["runtimes"]
    assert found.advice == 'Run: pip install "modelhub[llama-server]"'  # not the plugin's


@pytest.mark.usefixtures("broken_plugin")
def test_it_fits_a_terminal(without_engines):
    without_engines()
    wide = Device(
        name="cuda:0",
        kind="cuda",
        description="NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition",
        memory_total=123_456_789_012,
        memory_free=123_456_789_012,
        cores=192,
    )
    many = RuntimeView(
        name="transformers",
        tasks=("text-generation", "feature-extraction", "image-classification", "object-detection"),
        formats=("safetensors", "pytorch"),
    )
    seen = diagnose(home="/home/me", database="nonsense")  # paths are as long as they are
    shown = seen.model_copy(update={"devices": (wide,), "runtimes": (*seen.runtimes, many)})
    lines = str(shown).splitlines()[1:]  # the first has the name of this machine's system
    assert max(map(len, lines)) <= 80
    assert '    pip install "modelhub[llama-server]"' in lines


def test_nothing_installed_at_all(monkeypatch):
    monkeypatch.setattr(doctor.Runtimes, "views", lambda _: ())
    found = findings(diagnose())["runtimes"]
    assert (found.ok, found.text, found.advice) == (False, "no engine is installed", "")


def test_packages_that_overwrite_each_other(monkeypatch):
    here = {"onnxruntime", "onnxruntime-gpu"}
    monkeypatch.setattr(doctor, "version", lambda name: "1.0" if name in here else version(name))
    found = findings(diagnose())["onnxruntime"]
    assert not found.ok
    here.pop()
    assert "onnxruntime" not in findings(diagnose())
