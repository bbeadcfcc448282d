"""Python code of repositories: refused until it is allowed, at one commit and with the bytes it had."""

import contextlib
import json
import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from modelhub.errors import (
    Cancelled,
    EngineError,
    InvalidInput,
    RemoteCodeRefused,
    RepositoryNotFound,
)
from modelhub.registry.approvals import Approvals
from modelhub.registry.tables import InstanceRow
from modelhub.runtimes.hosts.process import ProcessHost
from tests.hub.conftest import MODEL, MakeHub
from tests.zoo.hub_server import HubServer
from tests.zoo.repos import chat_answers

pytest.importorskip("torch", reason="no PyTorch for this Python")

CHAT = Path(__file__).parents[1] / "zoo" / "chat"
OWN = "zoo/own-code"
CODE = """
from pathlib import Path
from transformers import LlamaForCausalLM

Path({canary!r}).touch()

class OwnModel(LlamaForCausalLM):
    pass
"""
CASE = chat_answers()[0]


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that the repository's code makes when it runs."""
    return tmp_path / "ran"


@pytest.fixture
def repository(tmp_path: Path, canary: Path) -> Path:
    folder = Path(shutil.copytree(CHAT, tmp_path / "own-code"))
    (folder / "own_model.py").write_text(CODE.format(canary=str(canary)))
    (folder / "unused.py").write_text("raise SystemExit('nobody asked for me')")
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoModelForCausalLM": "own_model.OwnModel"}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture
def hub(make_hub: MakeHub, repository: Path):
    with HubServer({OWN: repository}) as server:
        hub = make_hub(hf_endpoint=server.endpoint)
        hub.server = server
        yield hub


def ask(hub):
    return hub.chat(OWN, CASE.messages, temperature=0)


def test_it_is_refused_before_anything_is_fetched(hub, canary):
    with pytest.raises(RemoteCodeRefused, match=r"own_model\.py") as caught:
        ask(hub)
    assert f"modelhub allow-code {OWN}" in caught.value.hint
    plan = hub.plan(OWN)
    assert any("asks to run Python code" in why for why in plan.why)
    assert "allow-code" in plan.steps[0]
    assert plan.reuse_bytes < 100_000
    assert not canary.exists()


def test_what_was_allowed_runs_in_a_process_of_its_own(hub, canary):
    approval = hub.allow_code(OWN)
    assert [file.path for file in approval.files] == ["own_model.py", "unused.py"]
    assert "OwnModel" in (approval.path / "own_model.py").read_text()
    assert "own_model.py" in str(approval)
    assert not canary.exists()
    assert ask(hub).text == CASE.answer
    assert canary.exists()
    with hub._registry.read() as tx:
        row = tx.session.scalars(select(InstanceRow)).one()
        assert row.pid != os.getpid()


def _processes(hub):
    with hub._registry.read() as tx:
        return tx.session.scalars(select(InstanceRow.pid)).all()


def _record(hub):
    return next(record for record in hub.repos() if record.repo.id == OWN)


def test_another_commit_is_not_allowed_with_it(hub, repository, canary):
    hub.allow_code(OWN)
    changed = Path(shutil.copytree(repository, repository.with_name("changed")))
    (changed / "own_model.py").write_text(CODE.format(canary=str(canary)) + "\n# changed\n")
    hub.server.push(OWN, changed)
    hub.sync(OWN)
    with pytest.raises(RemoteCodeRefused):
        ask(hub)
    assert not canary.exists()


def test_other_bytes_are_not_allowed_with_it(hub, canary):
    approval = hub.allow_code(OWN)
    with hub._registry.begin() as tx:
        files = {file.path: "0" * 64 for file in approval.files}
        tx.approvals.allow(_record(hub).id, approval.commit, files)
    with pytest.raises(RemoteCodeRefused):
        ask(hub)
    assert not canary.exists()


def test_what_was_allowed_can_be_forbidden_again(hub, canary):
    hub.allow_code(OWN)
    assert hub.revoke_code(OWN)
    assert not hub.revoke_code(OWN)
    with pytest.raises(RemoteCodeRefused):
        ask(hub)
    assert not canary.exists()


def test_what_runs_ends_when_it_is_forbidden(hub):
    hub.allow_code(OWN)
    stream = hub.chat(OWN, CASE.messages, temperature=0, stream=True)
    assert next(stream).text
    (pid,) = _processes(hub)
    assert hub.revoke_code(OWN)
    assert not Path(f"/proc/{pid}").exists()
    with contextlib.suppress(Cancelled, EngineError):  # it may have been written to its end by then
        list(stream)
    with pytest.raises(RemoteCodeRefused):
        ask(hub)
    hub.allow_code(OWN)
    assert ask(hub).text == CASE.answer


def test_what_another_process_forbids_is_refused_at_the_next_call(hub, make_hub):
    hub.allow_code(OWN)
    assert ask(hub).text == CASE.answer
    (pid,) = _processes(hub)
    assert make_hub(hf_endpoint=hub.server.endpoint).revoke_code(OWN)
    with pytest.raises(RemoteCodeRefused):
        ask(hub)
    assert not Path(f"/proc/{pid}").exists()


def test_what_is_forbidden_while_it_is_loaded_is_not_asked(hub, monkeypatch):
    hub.allow_code(OWN)
    load = ProcessHost.load

    def slow(*args):
        instance = load(*args)
        hub.revoke_code(OWN)
        return instance

    monkeypatch.setattr(ProcessHost, "load", slow)
    with pytest.raises(RemoteCodeRefused):
        ask(hub)
    assert all(not Path(f"/proc/{pid}").exists() for pid in _processes(hub))


def test_nobody_asks_about_models_without_code(make_hub, monkeypatch):
    monkeypatch.setattr(Approvals, "find", None)
    hub = make_hub()
    for _ in range(2):
        assert hub.chat(f"{MODEL}:q8_0", "x", runtime="echo").text == "x"


def test_what_is_not_known_here_cannot_be_forbidden(hub):
    hub.inspect(OWN)
    with pytest.raises(RepositoryNotFound, match="own-cod is not known here") as caught:
        hub.revoke_code("zoo/own-cod")
    assert OWN in caught.value.hint


def test_there_is_nothing_to_allow(make_hub):
    with pytest.raises(InvalidInput, match="no code of its own"):
        make_hub().allow_code(MODEL)
