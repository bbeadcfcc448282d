import os
import sys
from pathlib import Path

from modelhub.runtimes.hosts.environment import child_environment

MINE = {
    "PATH": "/bin",
    "HOME": "/home/x",
    "CUDA_VISIBLE_DEVICES": "0",
    "OMP_NUM_THREADS": "2",
    "HF_TOKEN": "hf_secret",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "MODELHUB_DATABASE_URL": "postgresql://u:secret@h/d",
    "OPENAI_API_KEY": "secret",
    "PYTHON_GITHUB_TOKEN": "secret",
    "LC_ALL": "C.UTF-8",
    "PYTHONPATH": "/mine",
    "SSH_AUTH_SOCK": "/tmp/agent",
}


def test_a_child_gets_what_engines_need_and_no_secret():
    given = child_environment(sys.executable, MINE)
    assert not [value for value in given.values() if "secret" in value]
    for name in ("PATH", "HOME", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "LC_ALL"):
        assert given[name] == MINE[name]
    assert "SSH_AUTH_SOCK" not in given
    assert given["HF_HUB_OFFLINE"] == "1"


def test_the_same_interpreter_finds_the_same_modules():
    found = child_environment(sys.executable, MINE)["PYTHONPATH"].split(os.pathsep)
    assert found == [entry or str(Path.cwd()) for entry in sys.path]


def test_another_interpreter_finds_its_own():
    assert "PYTHONPATH" not in child_environment("/usr/bin/python3", MINE)


def test_without_a_word_it_is_this_processs(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert child_environment()["OMP_NUM_THREADS"] == "7"
