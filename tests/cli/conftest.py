"""The command line beside a local hub: in this process, and in one of its own."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelhub.cli import main
from tests.zoo.hub_server import HubServer
from tests.zoo.repos import build_chat_gguf, chat_answers

MODEL = "zoo/tiny-chat-GGUF"
CASE = next(case for case in chat_answers() if len(case.messages) == 1)
QUESTION = CASE.messages[0]["content"]
SET = ("MODELHUB_DATABASE_URL", "MODELHUB_STORE_URI", "MODEL_STORE_URI", "MODELHUB_OFFLINE")
PATIENCE = 60
"""Seconds after which a process is taken for stuck, and killed."""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = build_chat_gguf(tmp_path_factory.mktemp("zoo") / "repository")
    with HubServer({MODEL: folder}) as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def environment(monkeypatch, server, home):
    """Where things are kept and come from, for this process and those that it starts."""
    monkeypatch.setenv("MODELHUB_HOME", str(home))
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    for name in SET:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(monkeypatch, capsys, environment):
    """Runs one command; gives its exit status, output and errors."""

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["modelhub", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return command


@pytest.fixture
def start(environment):
    """Starts one command as a process of its own; keywords go to `Popen`."""
    started, watchdogs = [], []

    def command(*arguments: str | Path, env: dict[str, str] | None = None, **how) -> subprocess.Popen:
        for stream in ("stdin", "stdout", "stderr"):
            how.setdefault(stream, subprocess.PIPE)
        process = subprocess.Popen(
            [sys.executable, "-m", "modelhub", *map(str, arguments)],
            env={**os.environ, **(env or {})},
            **how,
        )
        started.append(process)
        watchdogs.append(threading.Timer(PATIENCE, process.kill))
        watchdogs[-1].start()
        return process

    yield command
    for process, watchdog in zip(started, watchdogs, strict=True):
        watchdog.cancel()
        process.kill()
        process.communicate()
