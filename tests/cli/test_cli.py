"""The command line, as a person types it."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.cli import main
from modelhub.errors import EngineError
from tests.cli.conftest import CASE, MODEL, QUESTION
from tests.store.hands import flip

COMMANDS = [
    "register",
    "sync",
    "inspect",
    "plan",
    "pull",
    "verify",
    "ls",
    "search",
    "files",
    "allow-code",
    "forget",
    "purge",
    "chat",
    "embed",
    "jobs",
    "worker",
    "doctor",
    "db",
]


def test_help_names_every_command(run):
    status, out, _ = run("--help")
    assert status == 0
    assert all(command in out for command in COMMANDS)
    for command in COMMANDS:
        assert run(command, "--help")[0] == 0


def test_help_loads_no_room():
    code = (
        "import sys; sys.argv = ['modelhub', '--help']\n"
        "from modelhub.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'sqlalchemy', 'huggingface_hub', 'alembic', 'numpy', 'xllamacpp', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_whole_way_to_an_answer(run):
    assert run("register", MODEL)[0] == 0
    assert "init" in run("ls")[1]
    status, out, _ = run("sync", MODEL)
    assert status == 0
    assert "q4_k_m" in out
    assert "license apache-2.0" in run("inspect", MODEL)[1]
    assert "llama_server" in run("plan", MODEL, "--task", "chat")[1]
    status, out, err = run("pull", f"{MODEL}:q8_0")
    assert status == 0
    assert "fetched" in err
    assert out.strip().endswith(run("inspect", MODEL, "--json")[1].split('"commit": "')[1][:40])
    status, out, _ = run("chat", f"{MODEL}:q8_0", QUESTION, "--temperature", "0")
    assert (status, out) == (0, CASE.answer + "\n")
    assert "completed" in run("ls")[1]
    assert "q8_0.gguf" in run("files", MODEL)[1]
    assert "artifact_download" in run("jobs")[1]


def test_json_wherever_a_table_is_printed(run):
    run("pull", f"{MODEL}:q8_0")
    assert json.loads(run("ls", "--json")[1])[0]["repo"]["name"] == "tiny-chat-GGUF"
    assert json.loads(run("inspect", MODEL, "--json")[1])["models"][0]["variants"]
    assert json.loads(run("sync", MODEL, "--json")[1])["repo"] == MODEL
    assert json.loads(run("register", MODEL, "--json")[1])[0]["repo"]["vendor"] == "zoo"
    assert json.loads(run("plan", f"{MODEL}:q8_0", "--json")[1])["variant"] == "q8_0"
    assert json.loads(run("pull", f"{MODEL}:q8_0", "--json")[1])["fetched_bytes"] == 0
    assert {file["path"] for file in json.loads(run("files", MODEL, "--json")[1])} >= {"README.md"}
    reply = json.loads(run("chat", f"{MODEL}:q8_0", QUESTION, "--temperature", "0", "--json")[1])
    assert reply["text"] == CASE.answer
    assert reply["provenance"]["files"][0]["sha256"]
    listed = json.loads(run("jobs", "--json")[1])
    assert (
        json.loads(run("jobs", "show", str(listed[0]["id"]), "--json")[1])[0]["key"] == listed[0]["key"]
    )
    assert {device["name"] for device in json.loads(run("doctor", "--json")[1])["devices"]} >= {"cpu"}
    state = json.loads(run("db", "current", "--json")[1])
    assert state["found"] == state["wanted"]


def test_verify_tells_by_its_status_what_it_found(run, home):
    pulled = json.loads(run("pull", f"{MODEL}:q4_0", "--json")[1])
    weights = next(file for file in pulled["files"] if file["path"].endswith("q4_0.gguf"))
    assert weights["link"] == "hardlink"
    status, out, _ = run("verify", f"{MODEL}:q4_0")
    assert status == 0
    assert "2 of 2 files are right" in out
    flip(Path(pulled["path"]) / weights["path"])
    status, out, _ = run("verify", MODEL, "--variant", "q4_0", "--json")
    found = json.loads(out)
    assert (status, found["ok"]) == (1, False)
    (damaged,) = [file for file in found["files"] if file["state"] == "damaged"]
    assert damaged["sha256"] == weights["sha256"] != damaged["found"]
    assert (home / "store" / damaged["kept"]).is_file()
    status, out, _ = run("verify", MODEL)
    assert status == 1
    assert "missing" in out
    assert json.loads(run("pull", f"{MODEL}:q4_0", "--json")[1])["fetched_bytes"] == weights["size"]
    assert run("verify", MODEL)[0] == 0
    status, out, err = run("--offline", "verify", "zoo/unknown")
    assert (status, out) == (1, "")
    assert "zoo/unknown is not known here" in err


def test_chat_reads_standard_input(run, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(QUESTION + "\n"))
    assert run("chat", f"{MODEL}:q8_0", "--temperature", "0")[1] == CASE.answer + "\n"


def test_errors_are_one_message_and_a_hint_on_standard_error(run):
    status, out, err = run("chat", "zoo/nothing-here", "x")
    assert (status, out) == (1, "")
    assert "zoo/nothing-here" in err
    assert "Traceback" not in err
    status, _, err = run("plan", f"{MODEL}:q9")
    assert status == 1
    assert "It has" in err


def test_debug_shows_the_traceback(run, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["modelhub", "--debug", "plan", f"{MODEL}:q9"])
    with pytest.raises(LookupError):
        main()


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("plan",),
        ("chat", MODEL, "x", "--max-tokens", "many"),
        ("jobs", "cancel"),
        ("ls", "--what"),
        ("plan", MODEL, "--option", "n_ctx"),
        ("chat", MODEL, "x", "--option", "=4096"),
    ],
)
def test_wrong_usage_is_status_two(run, arguments):
    status, _, err = run(*arguments)
    assert status == 2
    assert "Usage" in err


def test_an_unknown_job(run):
    status, _, err = run("jobs", "show", "99999")
    assert status == 1
    assert "99999" in err


def test_offline_answers_what_is_known(run):
    run("pull", f"{MODEL}:q8_0")
    assert (
        run("--offline", "chat", f"{MODEL}:q8_0", QUESTION, "--temperature", "0")[1]
        == CASE.answer + "\n"
    )
    status, _, err = run("--offline", "inspect", "zoo/unknown")
    assert status == 1
    assert "offline" in err


def test_doctor_says_what_is_usable_and_what_would_be(run, without_engines):
    status, out, _ = run("doctor")
    assert status == 0
    assert "llama_server" in out
    assert "usable" in out
    without_engines()
    status, out, _ = run("doctor")
    assert status == 1
    assert 'pip install "modelhub[llama-server]"' in out


def test_doctor_survives_a_database_that_does_not_answer(run):
    status, out, _ = run("--database", "postgresql://nobody:secret@127.0.0.1:9/none", "doctor")
    assert status == 1
    assert "secret" not in out
    assert "llama_server" in out


def test_doctor_finds_a_database_that_cannot_be(run):
    status, out, err = run("--database", "nonsense", "doctor")
    assert (status, err) == (1, "")
    assert "!!  database: the database URL cannot be read" in out
    assert "llama_server" in out


@pytest.fixture
def server_database(postgres_url):
    """A PostgreSQL database with nothing in it."""
    import psycopg

    with psycopg.connect(postgres_url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS commands")
        connection.execute("CREATE DATABASE commands")
    before, mark, query = postgres_url.partition("?")
    return f"{before.rpartition('/')[0]}/commands{mark}{query}"


def test_a_server_database_is_upgraded_by_hand(run, server_database):
    url = server_database
    status, _, err = run("--database", url, "ls")
    assert status == 1
    assert "modelhub db upgrade" in err
    status, out, _ = run("--database", url, "db", "upgrade")
    assert (status, out.startswith("schema empty -> ")) == (0, True)
    assert "as before" in run("--database", url, "db", "upgrade")[1]
    assert run("--database", url, "ls")[0] == 0
    assert run("--database", url, "db", "current")[0] == 0


def test_an_engine_failure_is_an_error_not_a_traceback(run, monkeypatch):
    from modelhub.runtimes.echo import EchoRuntime

    def fail(*_):
        raise EngineError("the engine gave up", hint="Try again.")

    monkeypatch.setattr(EchoRuntime, "load", fail)
    status, _, err = run("chat", f"{MODEL}:q8_0", "x", "--runtime", "echo")
    assert status == 1
    assert "the engine gave up" in err
    assert "Try again." in err


def test_version(run):
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("modelhub ")


def test_python_m_modelhub():
    done = subprocess.run(
        [sys.executable, "-m", "modelhub", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("modelhub ")
