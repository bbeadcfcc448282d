"""`modelhub allow-code`: what it says when code is allowed, and when it no longer is."""

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import MODEL

CHAT = Path(__file__).parents[1] / "zoo" / "chat"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A repository that asks to run code of its own."""
    folder = Path(shutil.copytree(CHAT, tmp_path / "own-code"))
    (folder / "own_model.py").write_text("raise SystemExit('nobody asked for me')")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "own_model.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


def test_what_was_allowed_is_printed_and_what_was_revoked_too(run, folder):
    status, out, _ = run("allow-code", folder)
    assert status == 0
    assert "own_model.py" in out
    status, out, err = run("allow-code", "--revoke", folder)
    assert (status, err) == (0, "")
    assert out == f"{folder} may no longer run code of its own at its present commit\n"


def test_nothing_that_was_allowed_is_a_failure(run, folder):
    run("sync", folder)
    status, out, err = run("allow-code", "--revoke", folder)
    assert (status, out) == (1, "")
    assert err.startswith(f"error: no code of {folder} was allowed at its present commit\n")


def test_a_name_that_is_misspelt_is_a_failure(run):
    run("register", MODEL)
    status, out, err = run("allow-code", "--revoke", "zoo/tiny-chat-GGU")
    assert (status, out) == (1, "")
    assert "zoo/tiny-chat-GGU is not known here" in err
    assert MODEL in err


@pytest.mark.parametrize("allowed", [True, False])
def test_as_json(run, folder, allowed):
    run("allow-code", folder) if allowed else run("sync", folder)
    status, out, _ = run("allow-code", "--revoke", folder, "--json")
    assert status == (0 if allowed else 1)
    assert json.loads(out) == {"model": folder, "revoked": allowed}
