"""What the process is told that tries a load again."""

from pathlib import Path

import pytest

from modelhub.runtimes.llama_server.reason import ask_why
from modelhub.runtimes.llama_server.server import EngineSettings

ENGINE = """
import os, sys
def said(*_):
    leaked = sorted(name for name, value in os.environ.items() if "canary" in value)
    sys.stderr.write(f"0 E error loading model: {leaked} {os.environ['HOME']}\\n")
    raise RuntimeError
CommonParams = Server = said
"""


def test_no_secret_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "xllamacpp.py").write_text(ENGINE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("HOME", "/a/home")
    for name in ("HF_TOKEN", "DATABASE_URL", "AWS_SECRET_ACCESS_KEY", "MY_PATH", "anything"):
        monkeypatch.setenv(name, "canary")
    assert ask_why(EngineSettings("x.gguf", 512, 512, None)) == "[] /a/home"
