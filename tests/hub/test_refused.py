"""What must be refused, clearly, and what must not be kept."""

import contextlib
import sqlite3

import pytest

from modelhub import Hub
from modelhub.errors import (
    AccessDenied,
    DatabaseUnavailable,
    DoesNotFit,
    FormatError,
    GatedRepository,
    HubClosed,
    IntegrityError,
    InvalidInput,
    InvalidReference,
    ModelHubError,
    RepositoryNotFound,
    RevisionNotFound,
    RuntimeNotFound,
    RuntimeNotInstalled,
    SourceUnavailable,
    StoreUnavailable,
    UnsafePath,
    VariantNotFound,
)
from modelhub.facts import Device, JobStatus, SyncStatus
from modelhub.hub import planning
from modelhub.runtimes import Runtimes
from modelhub.settings import Settings
from tests.runtimes.random_gguf import write_random_gguf
from tests.zoo.hub_server import Fault

from .conftest import MODEL

WEIGHTS = ".gguf"


def test_an_unknown_repository(hub):
    with pytest.raises(RepositoryNotFound, match="zoo/no-such-thing"):
        hub.chat("zoo/no-such-thing", "x")
    assert hub.repos() == ()
    (job,) = hub.jobs.list()
    assert job.status is JobStatus.FAILED
    assert job.error["code"] == "repository_not_found"


def test_a_gated_repository_without_a_token(hub, server, zoo_gguf):
    server.add("zoo/gated", zoo_gguf, gated=True, token="hf_" + "a" * 34)
    with pytest.raises((GatedRepository, AccessDenied), match="zoo/gated") as caught:
        hub.chat("zoo/gated", "x")
    assert "HF_TOKEN" in caught.value.hint


def test_a_gated_repository_with_its_token(make_hub, server, zoo_gguf):
    token = "hf_" + "a" * 34
    server.add("zoo/gated", zoo_gguf, gated=True, token=token)
    hub = make_hub(hf_token=token)
    report = hub.inspect("zoo/gated")
    assert "gated" in {warning.code for warning in report.warnings}
    assert hub.pull("zoo/gated:q8_0").fetched_bytes > 0


def test_an_unknown_revision_lists_those_that_exist_nearest_first(hub, server):
    server.tag(MODEL, "v1.0")
    server.tag(MODEL, "release")
    with pytest.raises(RevisionNotFound) as caught:
        hub.inspect(f"{MODEL}@v1.1")
    assert caught.value.hint.index("v1.0") < caught.value.hint.index("release")


def test_an_unknown_variant_lists_those_that_exist_nearest_first(hub):
    with pytest.raises(VariantNotFound) as caught:
        hub.chat(f"{MODEL}:q4_k_s", "x")
    assert caught.value.hint.startswith("It has q4_k_m")


def test_an_unknown_runtime_and_device(hub):
    with pytest.raises(RuntimeNotFound, match="llama_servr") as caught:
        hub.chat(MODEL, "x", runtime="llama_servr")
    assert "llama_server" in caught.value.hint
    with pytest.raises(InvalidInput, match="tpu"):
        hub.chat(MODEL, "x", device="tpu:0")


def test_a_runtime_that_is_not_installed_gives_the_install_line(hub, without_engines):
    without_engines()
    plan = hub.plan(MODEL)
    assert plan.runtime is None
    assert plan.steps[0] == 'pip install "modelhub[llama-server]"'
    with pytest.raises(RuntimeNotInstalled) as caught:
        hub.chat(MODEL, "x")
    assert 'pip install "modelhub[llama-server]"' in caught.value.hint


@pytest.mark.parametrize("runtime", ["llama_cpp", "llama_server"])
def test_a_context_beyond_the_memory_is_refused_before_the_engine_is_asked(
    hub, tmp_path, monkeypatch, runtime
):
    small = Device(name="cpu", kind="cpu", memory_total=4 << 30, memory_free=1 << 30)
    monkeypatch.setattr(planning, "devices", lambda: (small,))
    monkeypatch.setattr(type(Runtimes().load(runtime)), "start", None)
    path = write_random_gguf(tmp_path / "long.gguf", context=1 << 20)
    needed = [hub.plan(path, runtime=runtime, options={"n_ctx": n_ctx}) for n_ctx in (1 << 10, 1 << 20)]
    assert [plan.fits for plan in needed] == [True, False]
    with pytest.raises(DoesNotFit, match=r"needs .* and cpu has .* free") as caught:
        hub.chat(path, "x", runtime=runtime, options={"n_ctx": 1 << 20})
    assert caught.value.details["needed"] == needed[1].memory
    assert "n_ctx" in caught.value.hint


def test_a_malformed_reference_has_a_caret_at_the_place(hub):
    with pytest.raises(InvalidReference) as caught:
        hub.chat("zoo/tiny chat", "x")
    text, caret = str(caught.value).splitlines()[1:3]
    assert text[caret.index("^")] == " "
    assert text.index("zoo/tiny chat") + len("zoo/tiny") == caret.index("^")


def test_file_names_that_would_leave_their_folder(hub, server):
    server.faults["README.md"] = Fault(name="../../etc/passwd")
    with pytest.raises(UnsafePath, match=r"\.\./\.\./etc/passwd"):
        hub.inspect(MODEL)
    assert hub.repos() == ()


@pytest.mark.parametrize("damage", ["truncated", "lying"])
def test_a_header_that_is_truncated_or_lies(hub, server, zoo_gguf, tmp_path, damage):
    bad = tmp_path / "bad"
    bad.mkdir()
    data = bytearray(next(zoo_gguf.glob("*q8_0.gguf")).read_bytes())
    if damage == "truncated":
        del data[5000:]
    else:
        data[8:16] = (1 << 62).to_bytes(8, "little")
    (bad / "bad-q8_0.gguf").write_bytes(data)
    server.add("zoo/bad", bad)
    with pytest.raises(FormatError, match=r"bad-q8_0\.gguf"):
        hub.inspect("zoo/bad")
    with pytest.raises(FormatError):
        hub.chat(bad, "x")


def test_bytes_that_do_not_match_are_never_published(hub, server, tmp_path):
    hub.sync(MODEL)
    server.faults["zoo-chat-q8_0.gguf"] = Fault(flip=100_000)
    with pytest.raises(IntegrityError, match=r"q8_0\.gguf"):
        hub.pull(f"{MODEL}:q8_0")
    assert hub.plan(f"{MODEL}:q8_0").fetch_bytes > 0
    assert hub.jobs.list(limit=1)[0].error["code"] == "integrity_error"
    del server.faults["zoo-chat-q8_0.gguf"]
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0


def test_a_blob_that_was_changed_on_disk_is_mended(hub):
    snapshot = hub.pull(f"{MODEL}:q8_0")
    (file,) = [snapshot.path / f.path for f in snapshot.files if f.path.endswith(WEIGHTS)]
    right = file.read_bytes()
    file.chmod(0o644)
    with file.open("r+b") as blob:
        blob.seek(100_000)
        byte = blob.read(1)
        blob.seek(100_000)
        blob.write(bytes([byte[0] ^ 1]))
    assert hub.pull(f"{MODEL}:q8_0").fetched_bytes > 0
    assert file.read_bytes() == right


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="file"):
        Hub(home=tmp_path / "home", store=tmp_path / "file" / "store")
    with pytest.raises((StoreUnavailable, InvalidInput), match="ftp"):
        Hub(home=tmp_path / "home", store="ftp://somewhere/models")


@pytest.mark.parametrize(
    "url", ["postgresql://nobody:secret@127.0.0.1:9/none", "sqlite:////proc/none/x.db"]
)
def test_a_database_that_cannot_be_reached(tmp_path, url):
    with pytest.raises(DatabaseUnavailable) as caught:
        Hub(home=tmp_path, database=url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "x.db").write_text("not a database at all, only text that is long enough to look at")
    with pytest.raises(DatabaseUnavailable):
        Hub(home=tmp_path, database=f"sqlite:///{tmp_path}/x.db")


def test_a_hub_that_cannot_be_reached(make_hub):
    hub = make_hub(hf_endpoint="http://127.0.0.1:9")
    with pytest.raises(SourceUnavailable, match=r"127\.0\.0\.1"):
        hub.inspect(MODEL)


def test_settings_come_once(tmp_path):
    with pytest.raises(InvalidInput, match="settings"):
        Hub(Settings.from_env({}, home=tmp_path), offline=True)


def test_a_closed_hub_says_so(make_hub):
    hub = make_hub()
    hub.close()
    hub.close()
    with pytest.raises(HubClosed):
        hub.chat(MODEL, "x")
    assert "closed" in repr(hub)


def test_the_error_of_a_failed_sync_is_kept_and_seen(hub, server):
    hub.sync(MODEL)
    server.faults["*/api/models/*"] = Fault(status=500)
    with pytest.raises(ModelHubError):
        hub.sync(MODEL)
    record = hub.repos()[0]
    assert record.sync_status is SyncStatus.ERROR
    assert record.sync_error
    assert hub.inspect(MODEL).models
    del server.faults["*/api/models/*"]
    hub.sync(MODEL)
    assert hub.repos()[0].sync_status is SyncStatus.COMPLETED


def test_no_secret_is_written_down(make_hub, server, zoo_gguf, tmp_path, caplog):
    token = "hf_" + "s" * 34
    server.add("zoo/private", zoo_gguf, private=True, token=token)
    with caplog.at_level("DEBUG"):
        hub = make_hub(hf_token=token)
        hub.pull("zoo/private:q8_0")
        hub.chat("zoo/private:q8_0", "canary-in-a-prompt", temperature=0, max_tokens=2)
        hub.close()
    logged = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "artifact_download_finish" in logged
    assert token not in logged
    assert "canary-in-a-prompt" not in logged
    with contextlib.closing(sqlite3.connect(tmp_path / "home" / "modelhub.db")) as database:
        dump = "\n".join(database.iterdump())
    assert token not in dump
    assert "canary-in-a-prompt" not in dump
