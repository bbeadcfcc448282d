"""What goes where: results to standard output, all else to standard error, and no tracebacks."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.cli import main, render
from modelhub.facts import Job, JobKind, JobStatus, RepoId, RepoRecord
from modelhub.hub import Hub
from modelhub.hub.doctor import examine
from tests.cli.conftest import MODEL, PATIENCE

ECHO = ("--runtime", "echo")
EVERY_JSON = [
    ("register", MODEL),
    ("sync", MODEL),
    ("inspect", MODEL),
    ("inspect", MODEL, "--refresh"),
    ("plan", MODEL),
    ("pull", f"{MODEL}:q4_0"),
    ("ls",),
    ("search",),
    ("files", MODEL),
    ("chat", f"{MODEL}:q4_0", "hello", "--max-tokens", "3"),
    ("jobs",),
    ("jobs", "show", "1"),
    ("doctor",),
    ("db", "current"),
]


def finish(process: subprocess.Popen) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, (out or b"").decode("latin-1"), (err or b"").decode()


def test_json_is_all_that_json_prints(run):
    for arguments in EVERY_JSON:
        status, out, _ = run(*arguments, "--json")
        assert status == 0, arguments
        assert json.loads(out), arguments
        assert out.isascii(), arguments


def test_an_engine_prints_nothing_beside_the_json(start):
    """A process of its own, since an engine's library writes without asking Python."""
    status, out, _ = finish(start("chat", f"{MODEL}:q4_0", "hello", "--max-tokens", "3", "--json"))
    assert status == 0
    assert json.loads(out)["usage"]["completion_tokens"] == 3


def test_nothing_found_is_empty_json(run, tmp_path):
    assert run("--home", str(tmp_path), "ls", "--json")[:2] == (0, "[]\n")
    status, out, err = run("--home", str(tmp_path), "ls")
    assert (status, out, err) == (0, "", "none\n")


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("--version",), ("doctor",), ("ls", "--json")])
def test_output_that_does_not_fit_is_an_error_in_two_lines(start, arguments, unbuffered):
    with FULL.open("wb") as full:
        process = start(*arguments, stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
        status, _, err = finish(process)
    assert (status, err.splitlines()[0]) == (1, "error: No space left on device")
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("--help",), ("doctor",), ("chat", MODEL, "one two", *ECHO)])
def test_a_reader_who_has_seen_enough_is_no_error(start, arguments, unbuffered):
    reading, writing = os.pipe()
    process = start(*arguments, stdout=writing, env={"PYTHONUNBUFFERED": unbuffered})
    os.close(writing)
    os.close(reading)
    assert finish(process) == (1, "", "")


def test_an_unforeseen_error_is_told_without_a_traceback(run, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("division by zero\nand more")

    monkeypatch.setattr(Hub, "chat", fail)
    status, out, err = run("chat", MODEL, "x", *ECHO)
    assert (status, out) == (1, "")
    assert err == (
        "error: ZeroDivisionError: division by zero\n"
        "`modelhub --debug …` shows where it happened; please report it.\n"
    )
    monkeypatch.setattr(sys, "argv", ["modelhub", "--debug", "chat", MODEL, "x", *ECHO])
    with pytest.raises(ZeroDivisionError):
        main()


def test_an_error_of_the_system_names_its_file(run, monkeypatch):
    def fail(*_, **__):
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr(Hub, "chat", fail)
    status, _, err = run("chat", MODEL, "x", *ECHO)
    assert status == 1
    assert err.splitlines()[0] == "error: Permission denied: /some/where"


def test_an_encoding_without_the_characters(start, tmp_path):
    narrow = {"PYTHONIOENCODING": "latin-1"}
    database = f"sqlite:///{tmp_path / 'new.db'}"
    status, out, err = finish(start("--database", database, "db", "upgrade", env=narrow))
    assert (status, err) == (0, "")
    assert out.startswith("schema empty -> ")
    status, out, err = finish(start("chat", MODEL, "é→x", *ECHO, env=narrow))
    assert (status, out, err) == (0, "é\\u2192x\n", "")
    status, out, _ = finish(start("chat", MODEL, "é→x😀", *ECHO, "--json", env=narrow))
    assert (status, json.loads(out)["text"]) == (0, "é→x😀")


WIDE = {"id": 10_000, "created_at": "2026-01-02T03:04:05Z", "started_at": "2026-01-02T03:04:05Z"}
NAME = "Wan2.1-T2V-1.3B-Diffusers"


def test_tables_fit_a_terminal(capsys):
    job = Job(
        **WIDE,
        kind=JobKind.ARTIFACT_DOWNLOAD,
        status=JobStatus.SUCCEEDED,
        key="x" * 200,
        input={"repo": f"Wan-AI/{NAME}", "commit": "a" * 40, "variant": "q4_k_m", "store": "x" * 90},
        done=123_456_789,
        total=123_456_789_012,
    )
    render.jobs([job], as_json=False)
    record = RepoRecord(
        id=1,
        repo=RepoId(source="huggingface", vendor="Wan-AI", name=NAME),
        source_uri="https://huggingface.co",
        git_head="a" * 40,
        sync_status="completed",
        created_at="2026-01-02T03:04:05Z",
        last_synced_at="2026-01-02T03:04:05Z",
    )
    render.repos([record], as_json=False)
    printed = capsys.readouterr().out
    assert f"Wan-AI/{NAME} {'a' * 12} q4_k_m" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_wishes_and_failures_stand_below_their_repository(capsys):
    record = RepoRecord(
        id=1,
        repo=RepoId(source="huggingface", vendor="Wan-AI", name=NAME),
        source_uri="https://huggingface.co",
        sync_status="error",
        sync_error={"code": "gated", "message": "it is gated\nand more"},
        task_hints=("text-generation",),
        preferred_format="gguf",
        quantization_targets=("q4_k_m", "q4_0"),
        created_at="2026-01-02T03:04:05Z",
    )
    render.repos([record], as_json=False)
    _, _, *below = capsys.readouterr().out.splitlines()
    assert below == ["     for text-generation", "     rather gguf, q4_k_m, q4_0", "     it is gated"]


def test_what_is_wished_for_on_the_command_line_is_planned(run, tmp_path):
    here = ("--home", str(tmp_path))
    status, out, _ = run(
        *here, "register", MODEL, "--quantization-target", "q4_0", "--quantization-target", "q8_0"
    )
    assert status == 0
    assert out.splitlines()[-1] == "     rather q4_0, q8_0"
    assert json.loads(run(*here, "plan", MODEL, "--json")[1])["variant"] == "q4_0"
    run(*here, "register", MODEL, "--quantization-target", "")
    assert json.loads(run(*here, "plan", MODEL, "--json")[1])["variant"] == "fp16"


def test_another_source_is_named_with_the_repository(run, tmp_path, server):
    run("pull", f"{MODEL}:q4_0")
    weights = json.loads(run("pull", f"{MODEL}:q4_0", "--json")[1])["path"]
    assert run("--home", str(tmp_path), "sync", weights)[0] == 0
    assert "local://" in run("--home", str(tmp_path), "ls")[1]


def test_a_failed_job_says_why_below(run):
    run("sync", "zoo/no-such-thing")
    lines = run("jobs", "--limit", "1")[1].splitlines()
    assert "failed" in lines[1]
    assert "zoo/no-such-thing" in lines[2]
    assert lines[3].startswith("     no repository zoo/no-such-thing")


def test_doctor_reads_the_same_for_people_and_programs(run, home):
    from modelhub.settings import Settings

    checkup = json.loads(run("doctor", "--json")[1])
    assert checkup["home"] == str(home)
    assert str(examine(Settings.from_env())).splitlines()[0] in run("doctor")[1]
