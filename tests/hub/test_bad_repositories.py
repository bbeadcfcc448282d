"""Repositories that are broken or were made to hurt: each is told of clearly, and costs no other anything."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelhub import Hub
from modelhub.cli import main
from modelhub.errors import IntegrityError, ModelHubError
from modelhub.facts import SyncStatus
from modelhub.settings import Settings
from tests.formats.build import small_gguf
from tests.zoo.hub_server import HubServer

from .bad_repositories import BOMB, CARDS, CASES, CONFIGS, LLAMA, MB, WEIGHTS, Bad, served, weights
from .conftest import MODEL

COMMIT = "0" * 40
FILES = 99_000
LOCAL = {
    name: case
    for name, case in (CONFIGS | WEIGHTS | CARDS).items()
    if name not in ("config of 200 MB", "a licence of 200 MB", "a tokenizer of 100 MB", "gguf of zeros")
}
"""What makes sense in a folder; files of 200 MB are left to the server, which makes them up."""


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def settings(server: HubServer, home: Path, **more) -> Settings:
    return Settings.from_env({}, home=home, hf_endpoint=server.endpoint, hf_token="", **more)


@pytest.fixture(scope="module")
def world(zoo_gguf, tmp_path_factory) -> Iterator[tuple[Hub, HubServer]]:
    """One Hub for all that is bad, with a good repository from before; and their server."""
    with HubServer({MODEL: zoo_gguf}) as server:
        server.add_listed("zoo/gated", COMMIT, [served("config.json", {})], gated=True)
        with Hub(settings(server, tmp_path_factory.mktemp("home")), progress=False) as hub:
            hub.pull(f"{MODEL}:q8_0")
            yield hub, server


@pytest.fixture
def others_stay(world) -> Iterator[None]:
    """The good repository and all bad ones before are afterwards exactly what they were."""
    hub, server = world

    def state() -> tuple[object, ...]:
        plan = hub.plan(f"{MODEL}:q8_0")
        return hub.inspect(MODEL).model_dump_json(), plan.variant, plan.fetch_bytes, plan.reuse_bytes

    known, before = hub.repos(), state()
    yield
    assert state() == before
    assert before[2] == 0
    after = hub.repos()
    assert [record for record in known if record not in after] == []
    server.reset_counts()
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes == 0
    assert server.requests == []


def serve(server: HubServer, name: str, case: Bad, commit: str = COMMIT) -> str:
    repo = f"bad/{slug(name)}"
    server.add_listed(repo, commit, [served(path, content) for path, content in case.files.items()])
    return repo


def check_error(case: Bad, error: ModelHubError) -> None:
    assert error.code == case.error
    assert error.hint
    assert len(error.message) < 1000
    for part in case.says:
        assert part in error.message


@pytest.mark.usefixtures("others_stay")
@pytest.mark.parametrize("name", CASES)
def test_what_is_bad_is_told_and_costs_no_other(world, name):
    hub, server = world
    case = CASES[name]
    repo = serve(server, name, case)
    server.reset_counts()
    hub.register(repo)
    if case.error:
        with pytest.raises(ModelHubError) as caught:
            hub.sync(repo)
        check_error(case, caught.value)
    else:
        report = hub.sync(repo)
        texts = " ".join(warning.text for warning in report.warnings)
        assert {*case.warns} <= {warning.code for warning in report.warnings}
        assert [part for part in case.says if part not in texts] == []
        assert len(report.models) == case.models
        assert hub.inspect(repo) == report
    assert server.bytes_sent() <= case.most
    (record,) = [record for record in hub.repos() if record.repo.id == repo]
    state = SyncStatus.ERROR if case.error else SyncStatus.COMPLETED
    assert record.sync_status is state
    assert (record.sync_error or {}).get("code") == case.error
    # And again: what failed is not taken for known, and what is known is not read again.
    if case.error:
        with pytest.raises(ModelHubError) as caught:
            hub.inspect(repo)
        assert caught.value.code == case.error


@pytest.mark.usefixtures("others_stay")
@pytest.mark.parametrize(
    "name",
    [
        "config of 200 MB",
        "config of lists",
        "config is deep",
        "a header of 90 MB",
        "an index of 200 MB",
        "a licence of 200 MB",
        "a tokenizer of 100 MB",
        "gguf of zeros",
    ],
)
def test_what_is_large_stays_within_its_memory(world, name):
    hub, server = world
    repo = serve(server, f"{name} once more", CASES[name])
    tracemalloc.start()
    try:
        try:
            hub.sync(repo)
        except ModelHubError as error:
            check_error(CASES[name], error)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MB


@pytest.mark.usefixtures("others_stay")
@pytest.mark.parametrize("name", LOCAL)
def test_a_folder_is_told_of_as_a_repository_is(world, name, tmp_path):
    hub, _ = world
    case = LOCAL[name]
    folder = tmp_path / slug(name)
    folder.mkdir()
    for path, content in case.files.items():
        file = served(path, content)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        with (folder / path).open("wb") as out:
            for piece in file.source.pieces:
                out.write(piece) if isinstance(piece, bytes) else out.truncate(out.tell() + piece)
    if case.error:
        with pytest.raises(ModelHubError) as caught:
            hub.inspect(folder)
        check_error(case, caught.value)
        assert str(folder) not in {record.source_uri for record in hub.repos()}
    else:
        report = hub.inspect(folder)
        assert {*case.warns} <= {warning.code for warning in report.warnings}
        assert len(report.models) == case.models


@pytest.mark.usefixtures("others_stay")
@pytest.mark.parametrize("link", ["itself", "circle", "outside", "nothing"])
def test_a_folder_with_links_that_lead_nowhere_or_out(world, link, tmp_path):
    hub, _ = world
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    (tmp_path / "secret").write_text("not yours")
    goal = {"itself": ".", "circle": "config.safetensors", "outside": "../secret", "nothing": "none"}[
        link
    ]
    (folder / "config.safetensors").symlink_to(goal)
    with pytest.raises(ModelHubError, match=r"config\.safetensors") as caught:
        hub.inspect(folder)
    assert caught.value.hint


def test_a_card_that_multiplies_is_told_in_a_folder_too(world, tmp_path):
    hub, _ = world
    (tmp_path / "README.md").write_bytes(BOMB)
    (warning,) = [each for each in hub.inspect(tmp_path).warnings if each.code == "metadata.damaged"]
    assert warning.text.startswith("README.md: its card is no plain YAML: too deep, or too many aliases")


@pytest.mark.usefixtures("others_stay")
def test_a_commit_that_is_listed_otherwise_later(world):
    """Its files are known by then, and not asked for; what is asked of it anew is compared."""
    hub, server = world
    case = Bad({"config.json": LLAMA, "model.safetensors": weights()}, ())
    repo = serve(server, "a commit that changes", case)
    report = hub.sync(repo)
    serve(server, "a commit that changes", Bad({**case.files, "evil.gguf": b"x"}, ()))
    assert hub.sync(repo) == report
    assert {file.path for file in hub.files(repo)} == set(case.files)
    changed = weights(c={"dtype": "F32", "shape": [0], "data_offsets": [24, 24]})
    serve(server, "a commit that changes", Bad({**case.files, "model.safetensors": changed}, ()))
    with pytest.raises(IntegrityError, match=r"model\.safetensors"):
        hub.pull(repo)
    assert hub.inspect(repo).models == report.models


@pytest.mark.parametrize("name", ["a way out", "2^63 tensors", "gguf of version 99"])
@pytest.mark.parametrize("local", [False, True])
def test_the_command_line_says_what_is_wrong_and_no_more(
    world, name, local, tmp_path, monkeypatch, capsys
):
    _, server = world
    case = CASES[name]
    repo = serve(server, f"{name} by command", case)
    if local:
        (tmp_path / "bad-q8_0.gguf").write_bytes(case.files.get("bad-q8_0.gguf", b"x"))
        repo = str(tmp_path / ("bad-q8_0.gguf" if name != "a way out" else "link.gguf"))
    if name == "a way out":
        (tmp_path / "link.gguf").symlink_to("link.gguf")
    monkeypatch.setenv("MODELHUB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    monkeypatch.setenv("HF_TOKEN", "")
    monkeypatch.setattr("sys.argv", ["modelhub", "inspect", repo])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (1, "")
    assert said.err.startswith("error: ")
    assert "Traceback" not in said.err
    assert (
        "link.gguf" in said.err
        if local and name == "a way out"
        else all(part in said.err for part in case.says)
    )


def test_a_hundred_thousand_files(database_url, tmp_path, rounds):
    """They are listed, known, planned and deleted, on both databases, and leave nothing."""
    count = rounds(8_000, FILES)
    files = [served(f"notes/{n % 300}/{n}.txt", b"x") for n in range(count)]
    files += [served("config.json", LLAMA), served("model.safetensors", weights())]
    with HubServer(page_size=20_000) as server:
        server.add_listed("bad/large", COMMIT, files)
        server.add_listed("zoo/small", COMMIT, files[-2:])
        with Hub(settings(server, tmp_path, database=database_url), progress=False) as hub:
            small = hub.sync("zoo/small")
            (model,) = hub.sync("bad/large").models
            assert model.task == "text-generation"
            assert len(hub.files("bad/large")) == count + 2
            server.reset_counts()
            assert hub.plan("bad/large").variant == model.variants[0].name
            assert hub.sync("bad/large").models == (model,)
            assert server.bytes_sent() < 2000
            assert hub.purge("bad/large").repo == "bad/large"
            assert [record.repo.id for record in hub.repos()] == ["zoo/small"]
            assert hub.inspect("zoo/small").models == small.models
            assert hub.pull("zoo/small").files


@pytest.mark.usefixtures("others_stay")
@pytest.mark.parametrize(
    ("pattern", "models"), [("m{}-q8_0.gguf", 256), ("m{}-q8_0-00001-of-99999.gguf", 0)]
)
def test_more_models_than_anybody_has(world, pattern, models):
    hub, server = world
    files = {pattern.format(n): bytes(small_gguf()) for n in range(1500)}
    repo = serve(server, f"many {pattern}", Bad(files, ()))
    server.reset_counts()
    report = hub.sync(repo)
    assert len(report.models) == models
    texts = [warning.text for warning in report.warnings if warning.code == "models.many"]
    assert texts == ["It holds 1,500 models in GGUF; the first 256 are described."]
    assert len(report.warnings) < 100
    assert len([each for each in server.requests if each.path.endswith(".gguf")]) <= 64
