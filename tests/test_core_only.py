"""What works when modelhub is installed without any extra: `python -m nox -s tests_core`."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXTRAS = {"llama": "llama_cpp", "llama-server": "xllamacpp", "postgres": "psycopg", "torch": "torch"}
INSTALLED = [module for module in EXTRAS.values() if find_spec(module)]

if INSTALLED:
    pytest.skip(
        f"{', '.join(INSTALLED)} installed; `python -m nox -s tests_core` runs this without",
        allow_module_level=True,
    )

MODEL = Path(__file__).parent / "zoo" / "chat-gguf" / "zoo-chat-q4_k_m.gguf"
INSTALL = 'pip install "modelhub[llama-server]"'


@pytest.fixture
def hub(tmp_path):
    from modelhub import Hub

    with Hub(home=tmp_path, offline=True) as opened:
        yield opened


def modelhub(home, *arguments):
    command = [sys.executable, "-W", "error", "-m", "modelhub", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_runtimes_are_listed_with_what_they_lack(hub):
    views = {view.name: view for view in hub.runtimes()}
    assert views["echo"].usable
    assert not views["llama_server"].usable
    assert INSTALL in views["llama_server"].install
    assert views["llama_server"].formats == ("gguf",)


def test_a_folder_is_introspected_and_planned(hub):
    (model,) = hub.inspect(MODEL).models
    assert model.task == "text-generation"
    assert [variant.name for variant in model.variants] == ["q4_k_m"]
    plan = hub.plan(MODEL, task="chat")
    assert (plan.runtime, plan.variant, plan.fetch_bytes) == (None, "q4_k_m", MODEL.stat().st_size)
    assert INSTALL in plan.steps[0]


def test_a_model_is_pulled(hub):
    snapshot = hub.pull(MODEL)
    assert (snapshot.path / MODEL.name).read_bytes() == MODEL.read_bytes()


def test_a_chat_names_the_command_that_is_missing(hub):
    from modelhub.errors import RuntimeNotInstalled

    with pytest.raises(RuntimeNotInstalled) as caught:
        hub.chat(MODEL, "Hello")
    assert INSTALL in caught.value.hint


def test_a_server_database_names_the_command_that_is_missing(tmp_path):
    from modelhub import Hub, ModelHubError

    with pytest.raises(ModelHubError) as caught:
        Hub(home=tmp_path, database="postgresql+psycopg://user@localhost/modelhub")
    assert 'pip install "modelhub[postgres]"' in caught.value.hint


def test_help_needs_no_extra(tmp_path):
    done = modelhub(tmp_path, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for command in (
        "register",
        "sync",
        "inspect",
        "plan",
        "pull",
        "ls",
        "files",
        "chat",
        "doctor",
        "db",
    ):
        assert command in done.stdout


def test_doctor_says_what_would_make_it_work(tmp_path):
    done = modelhub(tmp_path, "doctor")
    assert done.returncode == 1
    assert INSTALL in done.stdout
    assert "no engine is installed" in done.stdout
    asked = modelhub(tmp_path, "doctor", "--json")
    states = {view["name"]: view["usable"] for view in json.loads(asked.stdout)["runtimes"]}
    assert states == {"echo": True, "llama_cpp": False, "llama_server": False, "transformers": False}


def test_a_chat_on_the_command_line_ends_with_a_hint_and_no_traceback(tmp_path):
    done = modelhub(tmp_path, "chat", str(MODEL), "Hello")
    assert (done.returncode, done.stdout) == (1, "")
    assert INSTALL in done.stderr
    assert "Traceback" not in done.stderr
