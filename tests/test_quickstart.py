"""`examples/quickstart.py`, as somebody runs it who has settings of their own."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from modelhub.tasks import ChatChunk, FinishReason, Usage

SCRIPT = Path(__file__).resolve().parents[1] / "examples" / "quickstart.py"
PATIENCE = 120


def test_the_built_in_model_needs_nothing_of_the_environment(tmp_path):
    mine = tmp_path / "mine.db"
    settings = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_OFFLINE": "1",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "MODELHUB_DATABASE_URL": f"sqlite:///{mine}",
        "MODELHUB_HOME": str(tmp_path / "home"),
        "MODELHUB_OFFLINE": "1",
        "MODELHUB_STORE_URI": str(tmp_path / "store"),
        "http_proxy": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, SCRIPT],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "zoo/tiny-chat-GGUF" in done.stdout
    assert done.stdout.count("Usage(") == 2
    assert "\n0 bytes fetched" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def quickstart():
    found = importlib.util.spec_from_file_location("quickstart", SCRIPT)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


class Thinker:
    """A hub whose model thinks for a thousand tokens."""

    def chat(self, model, question, *, max_tokens, **_):
        yield from [ChatChunk(reasoning="hm ")] * min(1000, max_tokens)
        if max_tokens > 1000:
            yield ChatChunk(text="Rhine.")
        yield ChatChunk(
            finish_reason=FinishReason.STOP, usage=Usage(prompt_tokens=1, completion_tokens=1001)
        )


def test_a_thinking_model_is_heard_out(quickstart, capsys):
    quickstart.ask(Thinker(), "some/model", "Name a river.")
    out = capsys.readouterr().out
    assert out.count("hm ") == 1000
    assert out.rstrip().endswith("hm \n\nRhine.")


def test_thoughts_are_dimmed_on_a_terminal(quickstart, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    quickstart.ask(Thinker(), "some/model", "Name a river.")
    out = capsys.readouterr().out
    assert "\033[2mhm \033[0m" in out
    assert "Rhine." in out
    assert "\033[2mRhine" not in out
