"""Children that another interpreter runs: what it has counts, not what this one has."""

import subprocess
import sys
import venv
from importlib.metadata import EntryPoint, entry_points, version
from pathlib import Path

import pytest

from modelhub.errors import RuntimeNotFound, RuntimeNotInstalled
from modelhub.runtimes import discovery, elsewhere
from tests.hub.conftest import MODEL

REF = f"{MODEL}:q8_0"
ROOT = Path(__file__).parents[2]


def make_python(folder: Path, *paths: Path | str) -> str:
    """An interpreter that finds what is in `paths`."""
    venv.create(folder, with_pip=False)
    (packages,) = folder.glob("lib/*/site-packages")
    (packages / "found.pth").write_text("\n".join(map(str, paths)))
    return str(folder / "bin" / "python")


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> str:
    """An interpreter with modelhub, the plugins of these tests, and an engine that only it has."""
    engines = tmp_path_factory.mktemp("engines")
    (engines / "only_in_child.py").touch()
    ours = (path for path in sys.path if path.endswith("-packages"))
    return make_python(tmp_path_factory.mktemp("other"), engines, ROOT, ROOT / "src", *ours)


@pytest.fixture
def with_plugin(make_hub, monkeypatch):
    """A Hub that finds a runtime `plugin`, beside those that are installed."""

    def make(name: str, **given):
        point = EntryPoint(name="plugin", value=f"tests.hub.plugins:{name}", group=discovery.GROUP)
        found = [*entry_points(group=discovery.GROUP), point]
        monkeypatch.setattr(discovery, "entry_points", lambda group: found)
        return make_hub(**given)

    return make


def view_of(hub, name: str = "plugin"):
    views = {view.name: view for view in hub.runtimes()}
    shown = {view.name: view for view in hub.doctor().runtimes}
    assert views == shown
    return views[name]


def test_an_engine_that_only_the_other_interpreter_has(with_plugin, python):
    hub = with_plugin("OnlyInChild", host="process", python=python)
    assert view_of(hub).usable
    reply = hub.chat(REF, "hello there", runtime="plugin")
    assert reply.text == "hello there"
    assert reply.provenance.runtime_version == f"of {python}"


def test_an_engine_that_the_other_interpreter_lacks(with_plugin, tmp_path):
    ours = (path for path in sys.path if path.endswith("-packages"))
    python = make_python(tmp_path / "other", ROOT, ROOT / "src", *ours)
    hub = with_plugin("OnlyInChild", host="process", python=python)
    view = view_of(hub)
    assert (view.usable, view.install) == (False, f"{python} -m pip install only-in-child")
    assert view.reason == f"needs only_in_child, which {python} does not have"
    with pytest.raises(RuntimeNotInstalled, match="needs only_in_child") as caught:
        hub.chat(REF, "hello", runtime="plugin")
    assert caught.value.hint == f"Run: {view.install}"
    assert caught.value.details["install"] == view.install


def test_in_this_process_its_own_packages_count(with_plugin, python):
    hub = with_plugin("OnlyInChild", python=python)
    view = view_of(hub)
    assert (view.usable, view.install) == (False, "pip install only-in-child")


def test_what_is_isolated_runs_there_whatever_the_host(with_plugin, python, monkeypatch):
    from tests.hub.plugins import OnlyInChild

    monkeypatch.setattr(OnlyInChild, "isolated", True)
    hub = with_plugin("OnlyInChild", python=python)
    assert view_of(hub).usable
    assert hub.chat(REF, "hello", runtime="plugin").text == "hello"


def test_an_interpreter_without_modelhub(with_plugin, tmp_path):
    python = make_python(tmp_path / "bare")
    view = view_of(with_plugin("OnlyInChild", host="process", python=python), "echo")
    assert not view.usable
    assert view.install == f"{python} -m pip install modelhub=={version('modelhub')}"


def test_an_interpreter_without_the_plugin(with_plugin, tmp_path):
    ours = (path for path in sys.path if path.endswith("-packages"))
    python = make_python(tmp_path / "other", ROOT / "src", *ours)
    hub = with_plugin("OnlyInChild", host="process", python=python)
    assert "cannot use it: ModuleNotFoundError" in view_of(hub).reason
    assert view_of(hub).install.startswith(f"{python} -m pip install --upgrade ")
    assert view_of(hub, "echo").usable


def test_a_plugin_that_fails_there_costs_no_other(with_plugin, python):
    hub = with_plugin("EndsItsProcess", host="process", python=python)
    assert "cannot use it: SystemExit: 3" in view_of(hub).reason
    assert hub.chat(REF, "hello", runtime="echo").text == "hello"


@pytest.mark.parametrize(
    ("python", "why"),
    [
        ("/nowhere/python", "cannot be run: No such file"),
        ("/bin/false", "ended with status 1"),
        ("/bin/echo", "ended with status 0"),
    ],
)
def test_what_is_no_interpreter(make_hub, python, why):
    hub = make_hub(host="process", python=python)
    assert f"{python} {why}" in view_of(hub, "echo").reason
    with pytest.raises((RuntimeNotFound, RuntimeNotInstalled), match=why):
        hub.chat(REF, "hello", runtime="echo")


def test_an_interpreter_that_does_not_answer(make_hub, monkeypatch, tmp_path):
    monkeypatch.setattr(elsewhere, "PATIENCE", 0.2)
    slow = tmp_path / "python"
    slow.write_text("#!/bin/sh\nexec sleep 20\n")
    slow.chmod(0o755)
    assert "did not answer within" in view_of(make_hub(host="process", python=str(slow)), "echo").reason


def test_it_is_asked_once(with_plugin, python, monkeypatch):
    asked = []
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **how: asked.append(args) or run(*args, **how))
    hub = with_plugin("OnlyInChild", host="process", python=python)
    for _ in range(2):
        hub.runtimes()
        hub.plan(REF)
        hub.chat(REF, "x", runtime="plugin")
    assert len(asked) == 1


def test_this_interpreter_is_not_asked(make_hub, monkeypatch):
    monkeypatch.setattr(elsewhere, "MODULE", "no.such.module")
    hub = make_hub(host="process", python=sys.executable)
    assert hub.chat(REF, "x", runtime="echo").text == "x"
